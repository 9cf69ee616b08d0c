"""Files that are more than content: they steer git, CI, reviews, machines or Patchwright itself.

They are known by their skeleton: ``.GitHub/Workflows`` is guarded as ``.github/workflows`` is.
"""

import re
from collections.abc import Mapping

from contracts.judging.finding import OperationKind
from contracts.judging.names import path_skeleton

ANYWHERE = r"(?:.*/)?"
ORDERS = re.compile(
    ANYWHERE + r"(?:(?:agents?|claude(?:\.local)?|gemini|codex|copilot-instructions|[^/]*\.instructions)\.md|\.github/prompts/.*)"
)
"""What coding agents obey, though people read it, too."""
DOCUMENT = re.compile(r".*\.(?:md|rst|txt|adoc|png|jpe?g|svg|gif|drawio)")
"""What is read, in whatever folder it lies."""
YAML = r"\.ya?ml"
GIT_HOOKS = (
    "applypatch-msg|pre-applypatch|post-applypatch|pre-commit|pre-merge-commit|prepare-commit-msg"
    "|commit-msg|post-commit|pre-rebase"
    "|post-checkout|post-merge|pre-push|pre-receive|post-receive|post-update|push-to-checkout|pre-auto-gc|post-rewrite"
    "|fsmonitor-watchman|reference-transaction|proc-receive"
)
NEVER: Mapping[str, tuple[str, ...]] = {
    "It says what Patchwright may do here.": (r"\.patchwright[^/]*", r"\.patchwright[^/]*/.*"),
    "It fetches other repositories.": (r"\.gitmodules",),
}
"""Files that no change of ours ever touches, by why."""
GUARDED: Mapping[OperationKind, tuple[str, ...]] = {
    OperationKind.CI: (
        r"\.(?:github|gitea|forgejo)/(?:workflows|actions)/.*",
        r"\.github/(?:dependabot|settings|codeql[^/]*)" + YAML,
        r"(?:.*\.)?\.?gitlab-ci[^/]*" + YAML,
        r"\.gitlab/(?:ci|agents)/.*",
        r"\.gitlab/[^/]*" + YAML,
        r"[^/]*jenkinsfile[^/]*",
        r"\.(?:circleci|azure-pipelines|azuredevops|buildkite|woodpecker|semaphore|teamcity|codefresh"
        r"|tekton|harness|builds|jenkins)/.*",
        r"\.?azure-pipelines?[^/]*" + YAML,
        r"\.(?:drone|travis|woodpecker|appveyor|cirrus|build|gocd|scrutinizer|semaphore|prow)" + YAML,
        r"\.(?:drone|cirrus)\.(?:star|jsonnet|json)",
        r"(?:appveyor|bitbucket-pipelines|wercker|codefresh|screwdriver|zuul|codeship-[^/]*|cloudbuild[^/]*|buildspec[^/]*)"
        + YAML,
        r"cloudbuild[^/]*\.json",
        r"\.?zuul\.d/.*|\.zuul" + YAML,
        r"bamboo-specs/.*",
        r"(?:\.ci|ci|\.?jenkins|pipelines?)/(?:.*/)?[^/]*\.groovy|\.?kodiak\.toml|bors\.toml|sonar-project\.properties|\.tx/config",
        r"\.taskcluster" + YAML + r"|\.evergreen" + YAML + r"|\.lgtm" + YAML,
        r"renovate\.json5?|\.renovaterc[^/]*|\.github/renovate\.json5?",
    ),
    OperationKind.INFRASTRUCTURE: (
        r"(?:dockerfile|containerfile)(?:[.-][^/]*)?|[^/]*\.(?:dockerfile|containerfile)",
        r"(?:docker-|podman-)?compose(?:[.-][^/]*)?" + YAML,
        r"[^/]*\.(?:tf|tfvars|hcl|nomad|bicep|tofu)|[^/]*\.tf\.json|[^/]*\.tfvars\.json",
        r"(?:k8s|kubernetes|kustomize|helm|charts|terraform|ansible|playbooks|pulumi|cloudformation|infra|infrastructure)/.*"
        r"\.(?:ya?ml|json|tpl|sh|ps1|toml|j2|conf|env|cfg)",
        r"(?:chart|kustomization|skaffold|serverless|pulumi[^/]*|playbook[^/]*|helmfile|values\.prod[^/]*)" + YAML,
        r"(?:vagrantfile|tiltfile|earthfile|procfile|captain-definition|cdk\.json|crontab|fly\.toml"
        r"|netlify\.toml|vercel\.json)",
        r"(?:render|amplify|railway|\.platform\.app)" + YAML + r"|railway\.(?:json|toml)",
        r"(?:[^/]*[-_])?deploy(?:ment)?(?:[-_][^/]*)?\.(?:sh|bash|zsh|ps1|bat|cmd|ya?ml)",
        r"(?:scripts?|bin|tools|ops|ci)/(?:[^/]*[-_])?deploy(?:[-_][^/]*)?(?:\.(?:py|rb|js|ts|pl))?",
        r"deploy(?:ment)?s?/.*\.(?:sh|bash|ps1|bat|cmd|ya?ml|json|service|conf)",
        r"[^/]*\.(?:service|timer|socket)",
        r"(?:nginx|haproxy|httpd|apache2|traefik|envoy|varnish|squid)[^/]*\.(?:conf|cfg|ya?ml|toml|vcl)|caddyfile|firebase\.json",
        r"wrangler\.(?:toml|jsonc?)|appspec" + YAML + r"|\.ebextensions/.*|\.platform/.*|copilot/.*" + YAML + r"|fabfile\.py",
        r"(?:docker-)?entrypoint[^/]*\.(?:sh|bash)|[^/]*\.(?:nix|sls|pp)"
        r"|(?:chef|cookbooks?)/.*\.rb|recipes/.*\.rb|puppet/.*|salt/.*|sites-(?:available|enabled)/.*",
    ),
    OperationKind.GIT_FILES: (r"\.gitconfig|\.lfsconfig|\.gitreview|gitconfig|\.git-blame-ignore-revs",),
    OperationKind.OWNERS: (
        r"codeowners|maintainers|owners(?:_aliases)?|(?:\.asf|\.github/funding)" + YAML,
        r"\.github/(?:settings|rulesets?/[^/]*)[^/]*",
    ),
    OperationKind.HOOKS: (
        r"\.?(?:husky|githooks|git-hooks|git_hooks|hooks\.d)/.*|\.hooks/.*|\.huskyrc[^/]*",
        rf"(?:{GIT_HOOKS})(?:\.sample)?|hooks/update",
        r"\.pre-commit-(?:config|hooks)" + YAML,
        r"\.?lefthook(?:-local)?\.(?:ya?ml|toml|json)|\.lefthook/.*|\.overcommit" + YAML,
        r"captainhook(?:\.config)?\.json|grumphp" + YAML + r"|\.?brainmaestro[^/]*",
        r"\.?(?:lint-staged|simple-git-hooks)(?:rc)?[^/]*|\.lintstagedrc[^/]*|lint-staged\.config\.[^/]*",
    ),
    OperationKind.WORKSPACE: (
        r"\.vscode/(?:tasks|launch|settings|extensions|mcp)\.json|[^/]*\.code-workspace|\.idea/.*|\.vs/.*",
        r"\.devcontainer/.*|\.devcontainer\.json|\.gitpod(?:\.[^/]*)?|\.replit|\.envrc",
        r"\.mcp\.json|\.(?:claude|cursor|codex|continue|windsurf|aider[^/]*|gemini|roo)/.*|\.aider\.conf" + YAML,
        r"\.(?:bashrc|bash_profile|profile|zshrc|zshenv|zprofile|gdbinit|lldbinit|vimrc|exrc|nvimrc|inputrc|tmux\.conf)",
        r"(?:site|user)customize\.py|[^/]*\.pth",
        r"(?:_?pytest|unittest|doctest|pluggy|nose)(?:\.py|/__init__\.py)|\.?v?env/(?:bin|scripts|lib)/.*",
        r"\.(?:dir-locals\.el|emacs|spacemacs|nvim\.lua|pdbrc(?:\.py)?|irbrc|pryrc|rprofile|pythonrc|pythonstartup|screenrc|direnvrc|autoenv"
        r"|ideavimrc|sbtopts|jshellrc|psqlrc|sqliterc)|\.(?:zed|helix|fleet|idx|jetbrains|amazonq|trae|kiro)/.*",
        r"replit\.nix|\.?mise(?:\.local)?\.toml",
        r"\.(?:cursorrules|windsurfrules|clinerules|roorules|goosehints|rules)|\.github/instructions/.*",
        r"\.ssh/.*|authorized_keys|known_hosts|\.gnupg/.*|\.aws/.*|\.kube/.*",
    ),
    OperationKind.PACKAGE_SOURCES: (
        r"\.npmrc|\.yarnrc[^/]*|\.pnpmfile\.[cm]?js|\.pypirc|pip\.(?:conf|ini)|\.condarc|bunfig\.toml|\.bowerrc",
        r"\.cargo/config(?:\.toml)?|nuget\.config|\.bundle/config|\.mvn/.*|gradle/wrapper/.*|\.?_?netrc|\.docker/config\.json",
        r"\.yarn/(?:releases|plugins)/.*|uv\.toml|poetry\.toml|\.terraformrc|terraform\.rc",
    ),
}
"""Files that a change may touch where the policy names their kind and a person says yes."""
WHAT: Mapping[OperationKind, str] = {
    OperationKind.CI: "it steers CI",
    OperationKind.INFRASTRUCTURE: "it builds, deploys or configures machines",
    OperationKind.GIT_FILES: "it configures git",
    OperationKind.OWNERS: "it says who must review",
    OperationKind.HOOKS: "git runs it on people's machines",
    OperationKind.WORKSPACE: "editors, shells or agents run or trust it",
    OperationKind.PACKAGE_SOURCES: "it says where packages come from",
}


def _compiled(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(ANYWHERE + "(?:" + "|".join(patterns) + ")", re.DOTALL)


_NEVER = {why: _compiled(patterns) for why, patterns in NEVER.items()}
_GUARDED = {kind: _compiled(patterns) for kind, patterns in GUARDED.items()}


def never_touched(path: str) -> str:
    """Why no change of ours may touch a file, as a sentence; empty when one may."""
    folded = path_skeleton(path)
    return next((why for why, pattern in _NEVER.items() if pattern.fullmatch(folded)), "")


def guarded_as(path: str) -> OperationKind | None:
    """What kind of operation touching a file is; None for ordinary files."""
    folded = path_skeleton(path)
    if ORDERS.fullmatch(folded):
        return OperationKind.WORKSPACE
    if DOCUMENT.fullmatch(folded) and not folded.endswith("requirements.txt"):
        return None
    return next((kind for kind, pattern in _GUARDED.items() if pattern.fullmatch(folded)), None)
