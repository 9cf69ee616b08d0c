"""Lines that reach beyond the code itself, by what they do: each rule with the files it holds for and what to do instead."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from contracts.judging.finding import OperationKind

INSTALL = (
    r"(?:^|/)(?:setup\.py|setup\.cfg|build\.rs|conanfile\.py|extconf\.rb|hatch_build\.py|pdm_build\.py"
    r"|build\.py|_build\.py|meson\.build|binding\.gyp"
    r"|configure(?:\.ac)?|(?:install|bootstrap|setup|postinstall|preinstall|prebuild|postbuild)\.(?:sh"
    r"|bash|py|js|cjs|mjs|ts|ps1|rb|pl)|makefile"
    r"|gnumakefile|justfile|rakefile|taskfile\.ya?ml|cmakelists\.txt|build\.gradle(?:\.kts)?"
    r"|settings\.gradle(?:\.kts)?|pom\.xml|package\.json"
    r"|composer\.json|[^/]*\.(?:gemspec|podspec|cmake|mk)|dockerfile[^/]*|[^/]*\.dockerfile"
    r"|webpack\.config\.[^/]*|gulpfile\.[^/]*|gruntfile\.[^/]*)$"
)
SHELL = (
    r"\.(?:sh|bash|zsh|ksh|fish|command|ps1|bat|cmd|mk|ya?ml)$|(?:^|/)(?:makefile|justfile"
    r"|rakefile|dockerfile[^/]*|containerfile|[^/.]+)$"
)
ANY, NO_TESTS = (
    r"",
    r"^(?!.*(?:(?:^|/)(?:tests?|spec|__tests__|fixtures|testdata)/|(?:^|/)(?:test_|conftest)|[._-](?:test|spec)\.))",
)
DOCUMENTS = re.compile(r"(?i)\.(?:md|mdx|rst|adoc|txt|po|pot|ipynb|html?|tex|csv|tsv|lock|snap|sum|svg)$")
"""What is read and not run. ``CMakeLists.txt`` and ``requirements.txt`` are no such."""
RUN_TEXT = re.compile(r"(?i)(?:^|/)(?:cmakelists|requirements[^/]*|constraints[^/]*)\.txt$")
FETCH = (
    r"(?:requests\.(?:get|post|request)|urlopen|urlretrieve|urllib\d?\.request|httpx2?\.(?:get"
    r"|post|stream)|aiohttp\.|http\.client|https?\.get|axios(?:\.\w++)?+"
    r"|\bfetch|got(?:\.\w++)?+|open-uri|Net::HTTP|URI\.open|file_get_contents|curl_exec|WebClient"
    r"|HttpClient|reqwest|ureq|http\.Get|LWP::|node-fetch"
    r"|needle|superagent|DownloadString|Invoke-WebRequest|Invoke-RestMethod)"
)
SHELL_NAMES = (
    r"(?:(?:ba|z|da|k|a|c|tc|fi)?sh|python[\d.]*|perl|ruby"
    r"|node|php|deno|bun|pwsh|powershell|iex|Invoke-Expression|xargs|source|tclsh|lua)\b"
)
SHELLS = rf"(?:sudo\s++(?:-\S++\s++)*+)?(?:/(?:[^\s/;|&()<>\"'`]*+/)*+)?{SHELL_NAMES}"
"""A shell as a command begins with it: with its folders, as root."""
GET = r"(?:curl|wget|fetch|iwr|irm|Invoke-WebRequest|Invoke-RestMethod|aria2c|lynx|http|https|xh|lwp-request|GET)"


@dataclass(frozen=True)
class LineRule:
    """One kind of line."""

    rule: str
    kind: OperationKind | None
    """None: nobody can allow it."""
    files: re.Pattern[str]
    pattern: re.Pattern[str]
    problem: str
    remedy: str
    signs: tuple[str, ...] = ()
    """A line in lower case without any of these is no such line; so most lines are never searched. Empty: always search."""

    def told_by(self, line: str, low: str) -> bool:
        """Whether a line is of this kind. ``low``: the same in lower case."""
        return (not self.signs or any(sign in low for sign in self.signs)) and self.pattern.search(line) is not None


def line_rule(
    rule: str, kind: OperationKind | None, files: str, pattern: str, problem: str, remedy: str, signs: str = ""
) -> LineRule:
    """A rule whose patterns mind no case."""
    return LineRule(
        rule, kind, re.compile(files, re.IGNORECASE), re.compile(pattern, re.IGNORECASE), problem, remedy, tuple(signs.split())
    )


PIN = "Use a pinned, reviewed dependency instead of fetching and running code."
K = OperationKind
LINE_RULES: Sequence[LineRule] = (
    line_rule(
        "operation.pipe-to-shell",
        K.DOWNLOADED_CODE,
        ANY,
        rf"\b{GET}\b[^\n|;]{{3,400}}\|\s*+(?:\w++\s++-(?=[^\s|]*d)[^\s|]++\s*+\|\s*+)?(?:tee\s++\S++\s*+\|\s*+)?{SHELLS}"
        rf"|\b{SHELL_NAMES}[^\n]{{0,40}}<\(\s*+{GET}\b|(?:\.|source|eval)\s++<?\(?[\"'$(`]*+\s*+{GET}\b"
        rf"|{SHELL_NAMES}\s++-(?=\w*[ce])\w++\s++[\"']?(?:\$\(|`)\s*+{GET}\b|(?:base64|openssl|xxd|gunzip|zcat)\s[^\n"
        rf"|]{{0,80}}-(?=\w*d)\w++[^\n|]{{0,60}}\|\s*+{SHELLS}"
        r"|(?:iex|Invoke-Expression)[^\n]{0,80}(?:DownloadString|iwr|irm|WebRequest|RestMethod)"
        r"|DownloadString[^\n]{0,200}\|\s*iex"
        r"|(?:npx|pipx\s+run|uvx|deno\s+run|bunx)\s[^\n]{0,60}https?://|certutil\b[^\n]{0,40}-urlcache"
        r"|mshta\s+https?://|bitsadmin\s+/transfer"
        r"|regsvr32[^\n]{0,40}/i:https?:|powershell[^\n]{0,60}-e(?:nc|ncodedcommand)?\s+[A-Za-z0-9+/=]{16,}",
        "It fetches code and runs it at once.",
        PIN,
        "curl wget fetch iwr irm request restmethod aria2c lynx http xh get base64 openssl xxd gunzip zcat iex expression "
        "downloadstring npx pipx uvx deno bunx certutil mshta bitsadmin regsvr32 powershell",
    ),
    line_rule(
        "operation.eval-download",
        K.DOWNLOADED_CODE,
        ANY,
        rf"\b(?:exec|eval|execfile|compile|Function|runInThisContext|runInNewContext|instance_eval"
        rf"|class_eval|marshal\.loads|pickle\.loads?|dill\.loads|cloudpickle\.loads)"
        rf"(?:await|\(|\s)*+[^\n]{{0,60}}{FETCH}"
        r"|\b(?:exec|eval|Function|marshal\.loads|pickle\.loads)\s*+\(\s*+[^\n]{0,60}(?:b64decode"
        r"|atob\(|from\([^\n]{0,200}base64|decompress\(|fromhex|unhexlify|base64_decode|Base64\.decode"
        r"|codecs\.decode|rot_?13|String\.fromCharCode)"
        r"|__import__\s*\(\s*[\"'](?:os|subprocess|socket|ctypes|pty)[\"']\s*\)|(?:import|require)\s*\(\s*[\"'`]https?://"
        r"|from\s+[\"']https?://|importScripts\s*\(\s*[\"']https?:",
        "It runs code that was fetched or hidden.",
        PIN,
        "exec eval compile function runin loads __import__ http",
    ),
    line_rule(
        "operation.remote-shell",
        None,
        ANY,
        r"/dev/(?:tcp|udp)/|\bnc(?:at)?\b[^\n]{0,60}\s-(?=\w*[ec])\w++\s|(?:ba|z)?sh\s+-i\s*(?:>|<"
        r"|2>|&)|mkfifo[^\n]{0,120}\bnc\b|socat\b[^\n]{0,80}\bexec:|pty\.spawn\(|"
        r"(?:os\.)?dup2\(\s*\w+\.fileno\(\)|TCPSocket\.(?:open|new)[^\n]{0,80}exec",
        "It opens a shell to somebody else.",
        "Take it out.",
        "/dev/ nc sh socat pty.spawn dup2 tcpsocket",
    ),
    line_rule(
        "operation.credential-files",
        None,
        NO_TESTS,
        r"(?:~|\$HOME|%USERPROFILE%|home\(\)|expanduser|/home/\w+|/root|homedir\(\))[^\n]{0,40}\.(?:ssh"
        r"|aws|gnupg|kube|docker|netrc|npmrc|pypirc|git-credentials|config/gcloud|config/gh)\b"
        r"|/etc/(?:shadow|sudoers)\b|/proc/(?:self|\d+|\*|1)/(?:environ|mem|maps)|169\.254\.169\.254"
        r"|metadata\.google\.internal|100\.100\.100\.200|/var/run/secrets/kubernetes",
        "It reaches for credentials of the machine.",
        "Take it out; credentials come from the project's own settings.",
        "~ home root userprofile expanduser /etc/ /proc/ 169.254. metadata. 100.100. /var/run",
    ),
    line_rule(
        "operation.environment-out",
        None,
        ANY,
        rf"(?:{FETCH}|\b{GET}\b|sendto|send_?all|websocket|socket)[^\n]{{0,200}}(?:os\.environ(?![\[.\w])"
        rf"|dict\(os\.environ|process\.env(?![\[.\w])|\$\((?:print)?env\b|`(?:print)?env\b|ENV\.to_h"
        rf"|getenv\(\)|System\.getenv\(\)|Deno\.env\.toObject)"
        rf"|(?:\b(?:print)?env\b(?![.\[])|/etc/passwd|os\.environ(?![\[.\w])|JSON\.stringify\(process\.env(?![\[.\w]))[^\n]{{0,160}}"
        rf"(?:\|\s*(?:curl|wget|nc|base64)|\b(?:curl|wget)\b|{FETCH})"
        r"|\b(?:curl|wget)\b[^\n]{0,200}\s[\"']?(?:-d|--data[\w-]{0,20}|-F|--form|-T|--upload-file|--post-data"
        r"|--post-file)[= ]?[\"']?@?\S{0,200}(?:/etc/|\.ssh|\.aws|\.env\b|id_rsa|credentials|\$\{?\w{0,60}?(?:TOKEN"
        r"|SECRET|PASSWORD|API_KEY))"
        r"|\$\{\{\s*+(?:toJSON\(\s*+)?secrets\s*+\)?\s*+\}\}",
        "It sends the environment or credentials somewhere.",
        "Take it out.",
        "environ env /etc/ .ssh .aws id_rsa credentials token secret password api_key",
    ),
    line_rule(
        "operation.open-permissions",
        K.PRIVILEGES,
        ANY,
        (
            r"\bchmod\b[^\n]{0,30}(?:\s0?777\b|\s[ugoa]{0,9}\+\w{0,9}s\b|\s[24-7][0-7]{3}\b|\sa\+rwx|\sugo\+rwx"
            r"|\so\+w|,\s*(?:0o?)?0?777\b|\(0o?777\))|chmod\(?[^\n]{0,80}\b0?o?777\b|S_IRWXO|\bumask\s*\(?0+\b"
        ),
        "It opens permissions to everybody.",
        "Give only the rights that are needed, e.g. 0644 or 0755.",
        "chmod s_irwxo umask",
    ),
    line_rule(
        "operation.root",
        K.PRIVILEGES,
        SHELL,
        (
            r"(?:^|[\s;&|\"'(`@])(?:sudo|doas|pkexec|runas)\s+(?!apt-get update\b)\S|^\s*USER\s+root\b"
            r"|^\s*su\s+-|NOPASSWD|\bsetcap\b|\bchown\s+(?:-\S+\s+)?root"
        ),
        "It asks for root's rights.",
        "Do it without root.",
        "sudo doas pkexec runas user su nopasswd setcap chown",
    ),
    line_rule(
        "operation.root",
        K.PRIVILEGES,
        ANY,
        (
            r"[\"'](?:/usr/bin/)?sudo[\"']\s*,|(?:system|popen|exec\w{0,20}|spawn\w{0,20}|run|call)\s*+\(\s*+f?[\"'`]sudo\s"
            r"|NOPASSWD|os\.setuid\(0\)|\bsetuid\(0\)"
        ),
        "It asks for root's rights.",
        "Do it without root.",
        "sudo nopasswd setuid",
    ),
    line_rule(
        "operation.privileged-container",
        K.PRIVILEGES,
        ANY,
        r"--privileged\b|\bprivileged[\"']?\s*[:=]\s*true|docker\.sock|containerd\.sock|host(?:Network"
        r"|PID|IPC)[\"']?\s*[:=]\s*true|--(?:net|network|pid|ipc|userns)[= ]host\b|\bnetwork_mode:\s*[\"']?host"
        r"|\bpid:\s*[\"']?host"
        r"|SYS_(?:ADMIN|PTRACE|MODULE)|--cap-add|\bcap_add:|allowPrivilegeEscalation[\"']?\s*:\s*true"
        r"|runAsUser[\"']?\s*:\s*0\b|(?:seccomp|apparmor)[:=]unconfined|-v\s+/:/|hostPath:",
        "It gives a container the rights of its host.",
        "Leave the container its walls.",
        "privileged .sock host sys_ cap-add cap_add privilege runasuser unconfined /:/",
    ),
    line_rule(
        "operation.unverified-tls",
        K.PRIVILEGES,
        NO_TESTS,
        r"\bverify\s*=\s*False\b|verify_ssl\s*=\s*False|ssl_verify\s*[:=]\s*[\"']?false|NODE_TLS_REJECT_UNAUTHORIZED"
        r"|rejectUnauthorized\s*:\s*false|InsecureSkipVerify\s*:\s*true|_create_unverified_context"
        r"|CERT_NONE\b|--no-check-certificate"
        r"|\bcurl\b[^\n]{0,80}\s(?:-(?=\w*k)\w++|--insecure)\s|http\.sslVerify\s*[= ]\s*[\"']?false"
        r"|GIT_SSL_NO_VERIFY|StrictHostKeyChecking[= ]no|strict-ssl\s*[= ]\s*false|--trusted-host"
        r"|danger_accept_invalid_certs|VERIFY_NONE|CURLOPT_SSL_VERIFYPEER\s*,\s*(?:0|false)|ServerCertificateValidationCal"
        r"lback|PYTHONHTTPSVERIFY",
        "It no longer checks who it talks to.",
        "Keep the check of certificates and host keys.",
        "verify ssl tls reject unverified cert_none certificate curl stricthost trusted-host invalid_certs",
    ),
    line_rule(
        "operation.destruction",
        K.PRIVILEGES,
        ANY,
        (
            r"\brm\s++(?:-\w++\s++|--\S++\s++){0,60}(?:/|~/?\*?|\$HOME/?\*?|\$\{HOME\}/?\*?|/\*|/(?:etc|usr|var|home|root|boot"
            r"|lib|bin)/?\*?)[\"']?(?:\s|$|;|&)|\bmkfs\b|\bdd\b[^\n]{0,80}\bof=/dev/|:\(\)\s*\{\s*:\|:&\s*\}"
            r"|rmtree\(\s*[\"'](?:/|~)[\"']|\bshred\b\s|--no-preserve-root|git\s+push\s[^\n]{0,80}(?:--force\b"
            r"|-f\b)|>\s*/dev/sd[a-z]"
        ),
        "It deletes what is not the project's.",
        "Delete only what the project made itself.",
        "rm mkfs dd :() shred preserve push /dev/sd",
    ),
    line_rule(
        "operation.package-source",
        K.PACKAGE_SOURCES,
        ANY,
        r"--(?:extra-)?index-url|--find-links|\bPIP_(?:EXTRA_)?INDEX_URL|--registry[= ]|(?:npm"
        r"|yarn|pnpm)\s+config\s+set\s+\S{0,100}registry|GOPROXY\s*=|GONOSUMDB|GONOSUMCHECK|GOFLAGS\s*+=\s*+\S{0,100}-insecure"
        r"|\[\[tool\.uv\.index\]\]|\[\[tool\.poetry\.source\]\]|\[source\.|\[registries|\[patch\."
        r"|^\s*-i\s+https?://",
        "It takes packages from somewhere else.",
        "Take packages from where the project takes them.",
        "index find-links registr goproxy gonosum goflags tool.poetry [source [patch -i",
    ),
    line_rule(
        "operation.install-download",
        K.NETWORK,
        INSTALL,
        rf"{FETCH}\b|\bsocket\.|\bTcpStream|\burllib|\bimport\s+requests\b|\b(?:curl|wget|aria2c"
        rf"|scp|rsync|ftp|telnet|nc)\s+\S|\bgit\s+(?:clone|fetch|pull|submodule)\b|ADD\s++(?:--\S++\s++){0,9}https?://"
        rf"|\bnet\.(?:connect|createConnection)|dns\.(?:resolve|lookup)"
        r"|getaddrinfo|gethostbyname|\bnslookup\b|\bdig\s|ExternalProject_Add|FetchContent_Declare|file\s*\(\s*DOWNLOAD",
        "It reaches the network while the project is installed or built.",
        "Install only what the manifest and its lock file name.",
    ),
    line_rule(
        "operation.install-command",
        K.INSTALL_SCRIPTS,
        r"(?:^|/)(?:setup\.py|setup\.cfg|build\.rs|extconf\.rb|hatch_build\.py|pdm_build\.py|binding\.gyp|conanfile\.py)$",
        (
            r"\bcmdclass\b|os\.(?:system|popen|exec\w*|spawn\w*)|subprocess\b|\bexec\s*\(|\beval\s*\("
            r"|Command::new|`[^`\n]+`|\bsystem\s*[( \"']|<!\(|__import__|ctypes|getattr\(\s*os\b"
        ),
        "It runs something while the project is installed.",
        "Let installing only copy files.",
    ),
)
