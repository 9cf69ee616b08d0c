"""Who comes in and what they may do: tokens, sessions, sign-in elsewhere, the matrix of routes and roles, limits."""
