"""Lines that make a tool run or fetch something else: by the tool whose file they stand in.

What a build tool, a package manager, git, or a test runner reads as an order looks like a setting to a reader.
"""

from collections.abc import Sequence

from contracts.judging.finding import OperationKind
from contracts.judging.operation_rules import ANY, PIN, SHELL, LineRule, line_rule

K = OperationKind
NO_RUN = "Let building only compile; put other work into a script that people start themselves."
USUAL = "Take packages from where the project takes them."
HIDDEN_CODE = (
    r"(?:b64decode|base64_decode|decode_base64|Base64\.(?:strict_|urlsafe_)?decode(?:64)?!?|\batob\s*\(|fromCharCode|\bchr\s*\(|fromhex|unhexlify"
    r"|FromBase64String|base64Encoded|codecs\.decode|gzinflate|getDecoder\(\)\.decode|\bunpack\b|\bstr_rot13)"
)
TOOL_RULES: Sequence[LineRule] = (
    line_rule(
        "operation.hooks",
        K.HOOKS,
        ANY,
        r"core\.(?:hooksPath|fsmonitor|sshCommand|editor|pager|gitProxy|attributesFile|worktree)\b|init\.templateDir|\.git/hooks\b"
        r"|\bgit\s{1,3}config\b[^\n]{0,60}\b(?:alias\.|credential\.helper|filter\.|diff\.[^\s]{1,30}\.(?:textconv|command)|url\.|include\.path"
        r"|gpg\.program|merge\.[^\s]{1,30}\.driver|protocol\.ext)",
        "It changes what git runs or trusts on people's machines.",
        "Leave git's configuration to the people whose machine it is.",
    ),
    line_rule(
        "operation.install-command",
        K.INSTALL_SCRIPTS,
        r"(?:^|/)(?:pom\.xml|[^/]*\.(?:csproj|fsproj|vbproj|proj|targets|props)|binding\.gyp)$",
        r"<Exec\s|<exec\s|\bexec-maven-plugin|maven-antrun-plugin|groovy-maven-plugin|gmavenplus|<UsingTask\s|[\"']actions[\"']\s{0,3}:"
        r"|<DownloadFile\s|download-maven-plugin",
        "It runs something while the project is built.",
        NO_RUN,
    ),
    line_rule(
        "operation.install-command",
        K.INSTALL_SCRIPTS,
        r"(?:^|/)(?:pyproject\.toml|setup\.cfg)$",
        r"^\s{0,9}backend-path\b|\[tool\.hatch\.build\.(?:targets\.\w{1,20}\.)?hooks|\[tool\.poetry\.build\]|\[tool\.pdm\.build\]|setup-script\b"
        r"|run-setuptools|^\s{0,9}command_packages\b|^\s{0,9}cmdclass\b|^\s{0,9}build-backend\s{0,3}=\s{0,3}[\"']"
        r"(?!setuptools\.build_meta|hatchling\.build|poetry\.core|flit_core|flit\.|pdm\.backend|maturin|mesonpy|scikit_build_core|uv_build"
        r"|jupyter_packaging|hatch_jupyter|sipbuild|pbr\.build|whey|enscons|trampolim|setuptools\.build_meta:__legacy__)",
        "It runs something while the project is built.",
        NO_RUN,
    ),
    line_rule(
        "operation.install-command",
        K.INSTALL_SCRIPTS,
        r"(?:^|/)(?:mix\.exs|package\.swift|settings\.gradle(?:\.kts)?|build\.gradle(?:\.kts)?|gradle\.properties|init\.gradle)$",
        r"\bSystem\.cmd\b|:os\.cmd|\bProcess\s?\(\)|Runtime\.getRuntime\(\)\.exec|\bcommandLine\b|-javaagent:|\.execute\(\)",
        "It runs something while the project is built.",
        NO_RUN,
    ),
    line_rule(
        "operation.install-command",
        K.INSTALL_SCRIPTS,
        r"(?:^|/)(?:makefile|gnumakefile|[^/]*\.mk)$",
        r"^\s{0,4}\.?SHELL\s{0,3}[:?+]?=\s{0,3}(?!\s{0,3}(?:/usr)?(?:/bin/)?(?:env\s)?(?:ba|z|da|k)?sh\b|\$)",
        "It makes another program the shell of all recipes.",
        NO_RUN,
    ),
    line_rule(
        "operation.install-command",
        K.INSTALL_SCRIPTS,
        r"\.go$",
        r"#cgo\b[^\n]{0,200}(?:-fplugin|-plugin|-Wl,-z,exec|-specs=|-B\s{0,3}\.)|//go:generate[^\n]{0,60}\b(?:sh|bash|curl|wget|python\d?)\s",
        "It runs something while the project is built.",
        NO_RUN,
    ),
    line_rule(
        "operation.package-source",
        K.PACKAGE_SOURCES,
        r"(?:^|/)(?:pom\.xml|settings\.xml|[^/]*\.gradle(?:\.kts)?)$",
        r"<(?:repository|pluginRepository|mirror)>|<url>\s{0,9}http://|\bmaven\s{0,3}(?:\{|\(\s{0,3}[\"'])|\burl\s{0,3}[=(]?\s{0,3}(?:uri\s{0,3}\()?"
        r"\s{0,3}[\"']https?://|\bflatDir\b|\bivy\s{0,3}\{",
        "It takes packages from somewhere else.",
        USUAL,
    ),
    line_rule(
        "operation.package-source",
        K.PACKAGE_SOURCES,
        r"(?:^|/)(?:composer\.json|auth\.json)$",
        r"[\"']repositories[\"']\s{0,3}:|[\"'](?:vcs|composer|package|artifact)[\"']\s{0,3},|[\"']secure-http[\"']\s{0,3}:\s{0,3}false",
        "It takes packages from somewhere else.",
        USUAL,
    ),
    line_rule(
        "operation.package-source",
        K.PACKAGE_SOURCES,
        r"(?:^|/)(?:package\.swift|pubspec(?:_overrides)?\.ya?ml|mix\.exs|rebar\.config|stack\.yaml|cabal\.project[^/]*|[^/]*conda[^/]*\.ya?ml"
        r"|environment[^/]*\.ya?ml|deno\.jsonc?|import_?map\.json|elm\.json|cpanfile|podfile|vcpkg[^/]*\.json|conanfile\.(?:txt|py)|flake\.nix"
        r"|shard\.yml|dub\.(?:json|sdl)|[^/]*\.opam|project\.clj|deps\.edn|build\.sbt|package\.yaml|module\.bazel|workspace(?:\.bazel)?|\.bazelrc"
        r"|package\.resolved)$",
        r"\bgit\s{0,3}[:=,]\s{0,3}[\"'\[{]?\s{0,3}\S|\bgit_(?:override|repository)\b|\bhttp_archive\b|\barchive_override\b|local_path_override"
        r"|\bhosted\s{0,3}:\s{0,3}\S*http|:git\s{0,3}(?:=>|,)|\{git,|[\"'(]\s{0,3}(?:https?|git|ssh)://(?![^\"'\s]{0,200}(?:\.schema\.json|/schema))"
        r"|git\+(?:https?|ssh)|^\s{0,9}-\s{1,3}https?://|\bgithub:[\w-]{1,40}/|\bgit:\s|^\s{0,9}source-repository-package|location:\s{0,3}https?:"
        r"|--remote_cache|--remote_executor|\bregistries?[\"']?\s{0,3}[:=]|@[\w-]{2,40}/(?:stable|testing|channel)",
        "It takes packages from somewhere else.",
        USUAL,
    ),
    line_rule(
        "operation.package-source",
        K.PACKAGE_SOURCES,
        SHELL,
        r"\b(?:pip3?|uv\s{1,3}pip)\s{1,3}install\b[^\n]{0,200}(?:https?://|git\+)|\bgo\s{1,3}(?:run|install|get)\s{1,3}(?:-\S{1,40}\s{1,3}){0,4}[\w.-]{1,60}\.[a-z]{2,10}/"
        r"\S{0,200}@|\bcargo\s{1,3}install\b[^\n]{0,100}--git\b|\bgem\s{1,3}install\b[^\n]{0,100}(?:--source|-s)\s{1,3}http"
        r"|\bnpm\s{1,3}(?:i|install|add)\b[^\n]{0,100}(?:https?://|git\+|github:)|\b(?:pipx|uvx|uv)\b[^\n]{0,60}\sgit\+",
        "It takes packages from somewhere else.",
        USUAL,
    ),
    line_rule(
        "operation.eval-download",
        K.DOWNLOADED_CODE,
        ANY,
        rf"(?:\b(?:exec|eval|compile|new\s{{1,3}}Function|setTimeout|setInterval|assert|eval_string|instance_eval|class_eval|create_function|include)"
        rf"|Runtime\.getRuntime\(\)\.exec|Process\.Start|Assembly\]?(?:::|\.)Load)\s{{0,3}}\([^\n]{{0,60}}{HIDDEN_CODE}"
        r"|\beval\s{1,3}(?:unpack|pack|decode_base64|join)\b|\bimport\s{0,3}\(\s{0,3}[\"'`]data:|\.then\s{0,3}\(\s{0,3}(?:eval|Function)\b"
        r"|getattr\s{0,3}\(\s{0,3}__import__|\b__import__\s{0,3}\([^\n)]{0,40}[\"']\s{0,3}\+|\beval\s{0,3}\(\s{0,3}[\"'`](?:\\x[0-9a-f]{2}){4}"
        r"|\b(?:system|exec|passthru|shell_exec|popen|proc_open|assert|eval|include|require|preg_replace)"
        r"\s{0,3}\(?\s{0,3}@?\$_(?:GET|POST|REQUEST|COOKIE|SERVER|FILES)\b"
        r"|\$_(?:GET|POST|REQUEST|COOKIE)\s{0,3}\[[^\]\n]{0,40}\]\s{0,3}\(|-enc(?:odedcommand)?\s{1,3}[A-Za-z0-9+/=]{8,}|ctypes\.(?:CDLL|cdll\.LoadLibrary)"
        r"\s{0,3}\(\s{0,3}[\"']\.{0,2}/|(?:\\x[0-9a-f]{2}){3,}[^\n]{0,80}\|\s{0,3}(?:ba|z|da|k)?sh\b",
        "It runs code that was fetched or hidden.",
        PIN,
    ),
    line_rule(
        "operation.pipe-to-shell",
        K.DOWNLOADED_CODE,
        ANY,
        r"\b(?:ssh|xxd|openssl|nc|ncat|dig|nslookup|host|base32|uudecode|rev|tr)\s[^\n|;]{1,200}\|\s{0,3}(?:sudo\s{1,3})?(?:/(?:usr/)?bin/)?(?:ba|z|da|k)?sh\b(?!\s{0,3}-c)"
        r"|\bLD_PRELOAD=|\bDYLD_INSERT_LIBRARIES=|\bPYTHONSTARTUP=|\bBASH_ENV=|\bPERL5OPT=|\bRUBYOPT=[^\n]{0,20}-r|\bNODE_OPTIONS=[^\n]{0,40}--(?:require|import)",
        "It runs code that came from elsewhere, or puts some before every program.",
        PIN,
    ),
    line_rule(
        "operation.remote-shell",
        None,
        ANY,
        r"\bsocket\s{0,3}\(\s{0,3}S\s{0,3},\s{0,3}PF_INET|TCPSocket[^\n]{0,200}popen|\bsockaddr_in\([^\n]{0,200}exec",
        "It opens a shell to somebody else.",
        "Take it out.",
    ),
    line_rule(
        "operation.environment-out",
        None,
        ANY,
        r"(?:urlopen|requests\.\w{2,9}|httpx\.\w{2,9}|fetch|axios[.\w]{0,9})\s{0,3}\([^\n]{0,200}\+\s{0,3}(?:os\.environ\b|os\.getenv|process\.env\b)"
        r"|\b(?:nslookup|dig|host|ping)\s[^\n]{0,60}(?:`|\$\()|\bgit\s{1,3}push\s{1,3}(?:-\S{1,30}\s{1,3}){0,4}(?:https?|ssh|git)://",
        "It sends the environment or what a command says somewhere.",
        "Take it out.",
    ),
    line_rule(
        "operation.root",
        K.PRIVILEGES,
        SHELL,
        r"\b(?:useradd|usermod|adduser|visudo|chpasswd)\s|>>?\s{0,3}/etc/(?:passwd|sudoers|cron|ld\.so\.preload|profile)",
        "It asks for root's rights.",
        "Do it without root.",
    ),
    line_rule(
        "operation.test-runner",
        K.WORKSPACE,
        r"(?:^|/)(?:conftest\.py|[^/]*pytest[^/]*\.py|[^/]*plugin[^/]*\.py|noxfile\.py)$",
        r"\.outcome\s{0,3}=\s{0,3}[\"']passed|\bexitstatus\s{0,3}=\s{0,3}(?:0\b|pytest\.ExitCode\.OK|ExitCode\.OK)|\bos\._exit\s{0,3}\("
        r"|\bitems\s{0,3}(?:\[:\]\s{0,3}=\s{0,3}\[\s{0,3}\]|\.clear\()|\bdef\s{1,3}pytest_(?:pyfunc_call|runtest_call|ignore_collect|exception_interact)\b"
        r"|\bcollect_ignore(?:_glob)?\s{0,3}=|\.excinfo\s{0,3}=\s{0,3}None|force_result\s{0,3}\(|builtins\.(?:assert|AssertionError|isinstance|all|any|len)",
        "It decides how tests end, instead of the tests.",
        "Leave the results of tests to the runner.",
    ),
    line_rule(
        "operation.test-runner",
        K.WORKSPACE,
        r"(?:^|/)(?:pytest\.ini|tox\.ini|setup\.cfg|pyproject\.toml|jest\.config\.\w{2,4}|vitest\.config\.\w{2,4}|\.mocharc[^/]*)$",
        r"\baddopts\b[^\n]{0,200}(?:--co\b|--collect-only|--deselect|--ignore[= ][\"']?(?:tests?|src)\b)"
        r"|\bpassWithNoTests[\"']?\s{0,3}:\s{0,3}true|\b(?:globalSetup|globalTeardown|testRunner|runner)[\"']?\s{0,3}:\s{0,3}[\"']\.{1,2}/"
        r"|testPathIgnorePatterns[\"']?\s{0,3}:\s{0,3}\[[^\n\]]{0,200}[\"'](?:<rootDir>)?/?(?:src|tests?|__tests__|spec)/?[\"']",
        "It makes the runner pass over tests.",
        "Let the runner see every test.",
    ),
)
"""They count beside the rules on what any line does."""
