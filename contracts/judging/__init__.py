"""The gates on a change: pure rules over git's raw tree difference. A prompt cannot talk them round."""
