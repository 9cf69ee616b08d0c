"""What credentials of well-known services look like: by prefix, length and alphabet, as their makers document them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
HEAD, TAIL = r"(?<![A-Za-z0-9_+/-])", r"(?![A-Za-z0-9])"
PLAIN_HEAD = r"(?<![A-Za-z0-9])"
"""Before a token whose beginning has a sign that base64 has not: it may stand in a path or an address."""


@dataclass(frozen=True)
class Format:
    """One kind of credential. The group ``secret`` of its pattern, else all of it, is what must not be a placeholder."""

    what: str
    pattern: re.Pattern[str]
    signs: tuple[str, ...]
    """A text in lower case without any of these holds none; so most texts are never searched. Empty: always search."""
    contextual: bool = False
    """Whether only the words before it make it a credential: then it must look random, too."""


def form(what: str, signs: str, pattern: str, contextual: bool = False) -> Format:
    """A format that its pattern tells, in texts that have one of the signs."""
    return Format(what, re.compile(pattern), tuple(signs.lower().split()), contextual)


def _token(what: str, signs: str, pattern: str) -> Format:
    """A word that stands alone."""
    head = PLAIN_HEAD if all("_" in sign or "-" in sign for sign in signs.split()) else HEAD
    return form(what, signs, f"{head}(?:{pattern}){TAIL}")


def _near(what: str, word: str, value: str) -> Format:
    """A value that only the name before it makes a credential."""
    return form(
        what,
        word.replace("|", " "),
        rf"(?i:{word})(?i:[\w .-]{{0,30}}?)[\"'`]?\]?\s{{0,3}}(?:=|:|=>|:=|\|\||,|\()\s{{0,3}}[\"'`]?(?P<secret>{value})(?!"
        rf"[\w-])",
        contextual=True,
    )


FORGES: Sequence[Format] = (
    _token("GitHub token", "ghp_ gho_ ghu_ ghs_ ghr_", r"gh[pousr]_[A-Za-z0-9]{36,255}"),
    _token("GitHub token", "github_pat_", r"github_pat_[A-Za-z0-9_]{36,255}"),
    _token(
        "GitLab token",
        "glpat- gldt- glrt- glcbt- glptt- glft- glsoat- glagent- glimt- gloas- glffct-",
        r"gl(?:pat|dt|rt|cbt|ptt|ft|soat|agent|imt|oas|ffct)-[A-Za-z0-9_.=-]{18,300}",
    ),
    _token("GitLab token", "gr1348941", r"GR1348941[A-Za-z0-9_-]{20}"),
    form("GitLab session", "_gitlab_session", r"_gitlab_session=(?P<secret>[0-9a-z]{32})"),
    _token(
        "Bitbucket or Atlassian token",
        "atatt3 atctt3 atbb bbdc-",
        r"AT(?:ATT3|CTT3)[A-Za-z0-9_=.-]{60,300}"
        r"|ATBB[A-Za-z0-9]{32}|BBDC-[A-Za-z0-9+/@_-]{40,50}",
    ),
    _token("Gitea or Codeberg token", "gitea forgejo codeberg", r"gto_[a-z2-7]{52}"),
    _token("Sourcegraph token", "sgp_ slk_", r"sgp_(?:[a-fA-F0-9]{16}_|local_)?[a-fA-F0-9]{40}|slk_[a-f0-9]{64}"),
    _token("CI token", "ccipat_ bkua_ bkat_", r"CCIPAT_[A-Za-z0-9]{22}_[a-f0-9]{40}|bk(?:ua|at)_[a-f0-9]{40}"),
)
CLOUDS: Sequence[Format] = (
    _token("DigitalOcean Spaces key", "do00 do80", r"DO(?:00|80)[A-Z0-9]{16}"),
    form("Azure App Configuration", "azconfig.io", r"azconfig\.io;Id=[^;\s]{1,60};Secret=(?P<secret>[A-Za-z0-9+/]{40,100}=?)"),
    _token("Neon token", "napi_", r"napi_[a-z0-9]{60,70}"),
    _token("Deno or Depot token", "ddp_ ddo_ ddw_ depot_", r"dd[pow]_[A-Za-z0-9]{36}|depot_[a-z]{2,9}_[a-f0-9]{64}"),
    _token("Yandex token", "y0_ t1.", r"y[0-3]_[A-Za-z0-9_-]{50,64}"),
    form("Cloudinary address", "cloudinary://", r"cloudinary://\d{12,18}:(?P<secret>[\w-]{25,30})@"),
    _token("AWS access key", "akia asia abia acca a3t", r"(?:A3T[A-Z0-9]|AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}"),
    form(
        "AWS secret key",
        "aws secret",
        r"(?i:(?:aws|secret)[\w .-]{0,25}(?:key|secret|token)[\w .-]{0,10})[\"'`]?\s{0,3}(?:=|:|=>|:=|,)\s{0,3}[\"'`]?"
        r"(?P<secret>(?=[A-Za-z0-9/+]{0,39}[A-Z])(?=[A-Za-z0-9/+]{0,39}[a-z])(?=[A-Za-z0-9/+]{0,39}[0-9])[A-Za-z0-9/+]{40})(?![A-Za-z0-9/"
        r"+=])",
    ),
    _token("AWS Bedrock key", "absk bedrock-api-key-", r"ABSK[A-Za-z0-9+/]{100,280}={0,2}|bedrock-api-key-[A-Za-z0-9+/=]{40,}"),
    form("AWS MWS key", "amzn.mws", rf"amzn\.mws\.(?P<secret>{UUID})"),
    _token("Google API key", "aiza", r"AIza[0-9A-Za-z_-]{35}"),
    _token(
        "Google OAuth secret",
        "gocspx- ya29. 1//0",
        r"GOCSPX-[A-Za-z0-9_-]{24,34}|ya29\.[0-9A-Za-z_-]{24,}|1//0[0-9A-Za-z_-]{40,}",
    ),
    form("Azure storage key", "accountkey", r"(?i:AccountKey)\s*[=:]\s*[\"']?(?P<secret>[A-Za-z0-9+/]{86}==)"),
    form("Azure shared key", "sharedaccesskey", r"(?i:SharedAccessKey)\s*[=:]\s*[\"']?(?P<secret>[A-Za-z0-9+/]{43}=)"),
    form(
        "Azure client secret",
        "q~",
        r"(?<![A-Za-z0-9_~.-])(?P<secret>[A-Za-z0-9_~.-]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,34})(?![A-Za-z0-9_~.-])",
    ),
    form(
        "Azure SAS signature",
        "sig=",
        r"[?&;\"']?(?:sv|se|sr|sp|st|ss)=[^\s\"']{1,400}[?&]sig=(?P<secret>[A-Za-z0-9%+/]{40,80}(?:%3D"
        r"|=)?)",
    ),
    form("Azure SAS signature", "sig=", r"[?&]sig=(?P<secret>[A-Za-z0-9%+/]{40,80}(?:%3[Dd]|=))"),
    form(
        "Azure service key",
        "azdo acdb +ast acr azfu azse",
        r"(?P<secret>[A-Za-z0-9]{76}AZDO[A-Za-z0-9]{4}|[A-Za-z0-9+/]{76}(?:ACDb|\+ASt)[A-Za-z0-9+/]{6}==?"
        r"|[A-Za-z0-9+/]{42}\+ACR[A-D][A-Za-z0-9]{5}|[A-Za-z0-9_-]{44}AzFu[A-Za-z0-9_-]{5}[AQgw]=="
        r"|[A-Za-z0-9]{42}AzSe[A-D][A-Za-z0-9]{5})",
    ),
    _token("Alibaba key", "ltai", r"LTAI[A-Za-z0-9]{17,21}"),
    _token("Tencent key", "akid", r"AKID[A-Za-z0-9]{32}"),
    _token("Yandex key", "aqvn ycaj", r"AQVN[A-Za-z0-9_-]{35,38}|YCAJE[A-Za-z0-9_-]{20}"),
    _token("DigitalOcean token", "dop_v1_ doo_v1_ dor_v1_", r"do[opr]_v1_[a-f0-9]{64}"),
    _token("Cloudflare key", "v1.0-", r"v1\.0-[a-f0-9]{24}-[a-f0-9]{146}"),
    _near("Cloudflare key", "cloudflare", r"[a-z0-9_-]{40}|[a-f0-9]{37}"),
    _token("Heroku key", "hrku-", rf"HRKU-(?:AA[A-Za-z0-9_-]{{58}}|{UUID})"),
    _near("Heroku key", "heroku", UUID),
    _token("Fly.io token", "fo1_ fm1 fm2_", r"fo1_[\w-]{43}|fm[12][ar]?_[A-Za-z0-9+/]{60,}={0,3}"),
    _token("Render, Railway or Netlify token", "rnd_ nfp_ nfu_ nfc_", r"rnd_[A-Za-z0-9]{32}|nf[puc]_[A-Za-z0-9]{36,40}"),
    _token("Vercel token", "vercel_ vcp_ vci_ vca_ vck_", r"vercel_blob_rw_[A-Za-z0-9_]{30,}|vc[piak]_[A-Za-z0-9]{24,60}"),
    _token("Supabase key", "sbp_ sb_secret_", r"sbp_[a-f0-9]{40}|sb_secret_[A-Za-z0-9_-]{31}"),
    _token("PlanetScale credential", "pscale_", r"pscale_(?:tkn|pw|oauth|api)_[\w.=-]{32,64}"),
    _token("Scaleway, Hetzner or Linode key", "scw", r"SCW[A-Z0-9]{17}"),
    _token("Tailscale key", "tskey-", r"tskey-(?:auth|api|client|scim|webhook)-[A-Za-z0-9]+-[A-Za-z0-9]{16,}"),
)
PLATFORMS: Sequence[Format] = (
    _token("Packagist token", "packagist_", r"packagist_(?:ack|acs|ort|uut)_[a-f0-9]{32,80}"),
    _token("Infisical token", "st.", r"st\.[a-f0-9]{24}\.[a-f0-9]{32}\.[a-f0-9]{32}"),
    _token("Honeycomb key", "hcaik_ hcalk_ hcamk_ hcxik_ hcbik_", r"hc[a-z]{1,2}[iml]k_[a-z0-9]{50,64}"),
    _token("PostHog key", "phx_ pha_ phs_", r"ph[xas]_[A-Za-z0-9]{40,64}"),
    _token("New Relic key", "nral", r"[a-f0-9]{32,36}(?:FFFF)?NRAL"),
    form("MaxMind key", "_mmk", r"(?<![A-Za-z0-9])(?P<secret>[A-Za-z0-9]{6}_[A-Za-z0-9]{29}_mmk)"),
    _token("DevCycle key", "dvc_", r"dvc_(?:server|mobile|client)_[a-f0-9]{32}_[a-f0-9]{6,10}"),
    _token("Inngest key", "signkey-", r"signkey-(?:prod|test|branch)-[a-f0-9]{32,64}"),
    _token("PubNub key", "sec-c-", r"sec-c-[A-Za-z0-9=+/]{40,60}"),
    _token("Ubidots token", "bbff-", r"BBFF-[A-Za-z0-9]{30}"),
    _token("1Password key", "a3-", r"A3-[A-Z0-9]{6}(?:-[A-Z0-9]{5,6}){4,5}"),
    _token("npm token", "npm_", r"npm_[A-Za-z0-9]{36}"),
    form(
        "npm token",
        "_authtoken _auth _password",
        r"(?im)(?:^|:)_(?:authToken|auth|password)\s*=\s*[\"']?(?P<secret>[A-Za-z0-9+/=_-]{16,})",
    ),
    _token("PyPI token", "pypi-ag", r"pypi-Ag[A-Za-z0-9_-]{50,1000}"),
    _token("RubyGems key", "rubygems_", r"rubygems_[a-f0-9]{48}"),
    _token("Crates.io token", "cio", r"cio[A-Za-z0-9]{32}"),
    _token("NuGet key", "oy2", r"oy2[a-z0-9]{43}"),
    _token("Clojars token", "clojars_", r"CLOJARS_[a-z0-9]{60}"),
    _token("Docker Hub token", "dckr_", r"dckr_(?:pat|oat)_[A-Za-z0-9_-]{27,32}"),
    _token("Artifactory key", "akcp cmvmd", r"AKCp[A-Za-z0-9]{69}|cmVmdGtuO[A-Za-z0-9]{50,60}"),
    _token("Vault token", "hvs. hvb. hvr.", r"hv[sbr]\.[A-Za-z0-9_-]{20,300}"),
    _near("Vault token", "vault", r"s\.[A-Za-z0-9]{24}"),
    form("Terraform token", ".atlasv1.", r"(?P<secret>[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{60,70})"),
    _token("Pulumi token", "pul-", r"pul-[a-f0-9]{40}"),
    _token("Doppler token", "dp.", r"dp\.(?:pt|ct|st|sa|scim|audit)(?:\.[a-z0-9_-]{2,35})?\.[A-Za-z0-9]{40,44}"),
    _token(
        "1Password token",
        "ops_ey a3-",
        r"ops_eyJ[A-Za-z0-9+/=_-]{100,}|A3-[A-Z0-9]{6}-(?:[A-Z0-9]{11}|[A-Z0-9]{6}-[A-Z0-9]{5})-[A-Z0-9]{5}-[A-Z0-9]{5}-[A"
        r"-Z0-9]{5}",
    ),
    _token("age key", "age-secret-key-", r"AGE-SECRET-KEY-1[0-9A-Z]{58}"),
    _token("Databricks token", "dapi", r"dapi[a-f0-9]{32}(?:-\d)?"),
    _token("Dynatrace token", "dt0", r"dt0[a-z]\d{2}\.[A-Z0-9]{24}\.[A-Z0-9]{64}"),
    _token(
        "Grafana token",
        "glc_ glsa_ eyjrijoi",
        r"glc_[A-Za-z0-9+/=]{32,400}|glsa_[A-Za-z0-9]{32}_[A-Fa-f0-9]{8}|eyJrIjoi[A-Za-z0-9]{40,400}={0,3}",
    ),
    _token(
        "New Relic key",
        "nrak- nrii- nrjs- nral",
        r"NRAK-[A-Z0-9]{27}|NRII-[A-Za-z0-9-]{32}|NRJS-[a-f0-9]{19}|[a-f0-9]{36}NRAL|NRRA-[a-f0-9]{42}",
    ),
    _token("Sentry token", "sntrys_ sntryu_", r"sntrys_eyJ[A-Za-z0-9+/=_-]{60,}|sntryu_[a-f0-9]{64}"),
    _near("Datadog key", "datadog|dd_api|dd_app", r"[a-f0-9]{32}|[a-f0-9]{40}"),
    _token("SonarQube token", "squ_ sqp_ sqa_", r"sq[upa]_[a-f0-9]{40}"),
    _near("Snyk token", "snyk", UUID),
    _near("Codecov token", "codecov", r"[a-z0-9]{32}|" + UUID),
    _near("Travis or Drone token", "travis|drone_ci|dronetoken", r"[a-z0-9]{22}|[a-z0-9]{32}"),
    _token("Postman key", "pmak-", r"PMAK-[a-fA-F0-9]{24}-[a-fA-F0-9]{34}"),
    _token("Prefect key", "pnu_ pnb_", r"pn[ub]_[a-zA-Z0-9]{36}"),
    _token("ReadMe key", "rdme_", r"rdme_[a-z0-9]{70}"),
    _token("Scalingo token", "tk-us-", r"tk-us-[\w-]{48}"),
    _token("Infracost key", "ico-", r"ico-[a-zA-Z0-9]{32}"),
    _token("Harness token", "pat. sat.", r"(?:pat|sat)\.[A-Za-z0-9_-]{22}\.[a-zA-Z0-9]{24}\.[a-zA-Z0-9]{20}"),
    _token("LaunchDarkly key", "sdk- api- mob-", rf"(?:sdk|api|mob)-{UUID}"),
    _token("Contentful token", "cfpat-", r"CFPAT-[A-Za-z0-9_-]{43}"),
    _token("OpenShift token", "sha256~", r"sha256~[\w-]{43}"),
    _token("Octopus key", "api-", r"API-[A-Z0-9]{26}"),
    _token("Unkey or Trigger key", "unkey_ tr_", r"unkey_[A-Za-z0-9]{22,}|tr_(?:dev|prod)_[A-Za-z0-9]{20,}"),
)
MODELS: Sequence[Format] = (
    _token("Pinecone key", "pcsk_", r"pcsk_[A-Za-z0-9]{5,6}_[A-Za-z0-9]{50,70}"),
    _token("Tavily key", "tvly-", r"tvly-(?:dev-|prod-)?[A-Za-z0-9]{28,40}"),
    _token("Firecrawl or Cerebras key", "fc- csk-", r"fc-[a-f0-9]{32}|csk-[a-z0-9]{48}"),
    _token("Langfuse or Helicone key", "sk-lf- sk-helicone-", rf"sk-lf-{UUID}|sk-helicone-(?:[a-z0-9]{{7}}-){{3}}[a-z0-9]{{7}}"),
    _token("ElevenLabs key", "sk_", r"sk_[a-f0-9]{48}"),
    _token("E2B or RunPod key", "e2b_ rpa_", r"e2b_[a-f0-9]{40}|rpa_[A-Z0-9]{34,44}[A-Za-z0-9]{2,8}"),
    _token("Jina or Apify key", "jina_ apify_api_", r"jina_[A-Za-z0-9_-]{55,65}|apify_api_[A-Za-z0-9]{36}"),
    _token("Cursor key", "key_", r"key_[a-f0-9]{64}"),
    form(
        "Modal token",
        "as- ak-",
        r"(?<![A-Za-z0-9-])(?P<secret>a[sk]-(?=[A-Za-z]{0,21}\d)(?=[a-z0-9]{0,21}[A-Z])[A-Za-z0-9]{22})(?![A-Za-z0-9_-])",
    ),
    _token("Anthropic key", "sk-ant-", r"sk-ant-[a-z0-9]{2,10}-[A-Za-z0-9_-]{32,120}|sk-ant-[A-Za-z0-9_-]{32,120}"),
    _token("OpenAI key", "sk-proj- sk-svcacct- sk-admin- sk-none-", r"sk-(?:proj|svcacct|admin|None)-[A-Za-z0-9_-]{20,200}"),
    _token("OpenAI key", "sk-", r"sk-[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}|sk-[A-Za-z0-9]{32,64}"),
    _token("OpenRouter key", "sk-or-", r"sk-or-v\d-[0-9a-f]{64}"),
    _token(
        "Groq, xAI or Perplexity key", "gsk_ xai- pplx-", r"gsk_[A-Za-z0-9]{52}|xai-[A-Za-z0-9_-]{70,90}|pplx-[A-Za-z0-9]{48,56}"
    ),
    _token("Hugging Face token", "hf_ api_org_", r"hf_[A-Za-z0-9]{34,40}|api_org_[A-Za-z0-9]{34}"),
    _token("Replicate token", "r8_", r"r8_[A-Za-z0-9]{37,40}"),
    _token("LangSmith key", "lsv2_", r"lsv2_(?:pt|sk)_[0-9a-f]{32}_[0-9a-f]{10}"),
    _token(
        "Fireworks, Together or Voyage key",
        "fw_ tgp_v1_ pa- nvapi-",
        r"fw_[A-Za-z0-9]{22,24}|tgp_v1_[A-Za-z0-9_-]{43}|pa-[A-Za-z0-9_-]{43}|nvapi-[A-Za-z0-9_-]{60,70}",
    ),
    _near("Cohere or Mistral key", "cohere|co_api|mistral", r"[A-Za-z0-9]{40}|[A-Za-z0-9]{32}"),
)
MESSAGING: Sequence[Format] = (
    form("Slack cookie", "xoxd-", r"(?P<secret>xoxd-[A-Za-z0-9%+/=_-]{40,400})"),
    _token("Mailgun key", "-", r"[a-f0-9]{32}-[a-f0-9]{8}-[a-f0-9]{8}"),
    _token("ClickUp token", "pk_", r"pk_\d{6,10}_[A-Z0-9]{32}"),
    _token("Trello token", "atta", r"ATTA[a-f0-9]{64}[A-F0-9]{8}"),
    _token("HubSpot token", "pat-na pat-eu pat-ap", rf"pat-(?:na|eu|ap)\d-{UUID}"),
    form("Salesforce session", "00d", r"(?<![A-Za-z0-9])(?P<secret>00D[A-Za-z0-9]{12,15}![A-Za-z0-9._]{80,130})"),
    _token("Sanity token", "sk", r"sk[A-Za-z0-9]{150,200}"),
    _token("Nylas key", "nyk_", r"nyk_v\d_[A-Za-z0-9]{50,70}"),
    form("VK token", "vk1.a.", r"(?P<secret>vk1\.a\.[A-Za-z0-9_-]{80,240})"),
    _token("Statsig key", "secret-", r"secret-[A-Za-z0-9]{43}"),
    form(
        "Convex key",
        "prod: dev: preview:",
        r"(?:prod|dev|preview):[a-z]{2,20}-[a-z]{2,20}-\d{1,5}\|(?P<secret>[A-Za-z0-9+/=]{60,200})",
    ),
    _token("ImageKit key", "private_", r"private_[A-Za-z0-9+/]{26,32}="),
    form("Zapier hook", "hooks.zapier.com", r"hooks\.zapier\.com/hooks/catch/(?P<secret>\d{5,9}/[a-z0-9]{5,9})"),
    _token(
        "Slack token",
        "xoxb- xoxp- xoxa- xoxr- xoxs- xoxo- xoxe",
        r"xox[abposr]-(?:\d-)?[0-9A-Za-z-]{10,250}|xoxe(?:\.xox[bp])?-\d-[A-Za-z0-9]{40,200}",
    ),
    _token("Slack app token", "xapp- xwfp-", r"x(?:app|wfp)-\d-?[A-Za-z0-9-]{20,200}"),
    form(
        "Slack webhook", "hooks.slack.com", r"hooks\.slack\.com/(?:services|workflows|triggers)/(?P<secret>[A-Za-z0-9+/]{30,80})"
    ),
    form("Discord webhook", "/api/webhooks/", r"discord(?:app)?\.com/api/webhooks/\d{17,20}/(?P<secret>[\w-]{60,72})"),
    _token("Discord token", "", r"[MNO][A-Za-z\d]{23,27}\.[\w-]{6}\.[\w-]{27,38}"),
    _near("Discord secret", "discord", r"[a-f0-9]{64}|[A-Za-z0-9=_-]{32}"),
    form(
        "Teams webhook",
        "webhook.office.com",
        r"webhook\.office\.com/webhookb2/[\w@/-]{40,120}/IncomingWebhook/(?P<secret>[a-z0-9]{32})",
    ),
    form("Telegram token", ":aa", r"(?<![0-9A-Za-z])(?P<secret>\d{8,10}:AA[A-Za-z0-9_-]{33})(?![A-Za-z0-9_-])"),
    _token("Twilio key", "sk", r"SK[0-9a-fA-F]{32}"),
    _near("Twilio token", "twilio", r"[0-9a-f]{32}"),
    _token("SendGrid key", "sg.", r"SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{16,64}"),
    _token("Mailgun key", "key- pubkey-", r"(?:pub)?key-[0-9a-f]{32}"),
    form("Mailchimp key", "-us", r"(?<![0-9a-f])(?P<secret>[0-9a-f]{32}-us\d{1,2})(?!\d)"),
    _token("Brevo key", "xkeysib- xsmtpsib-", r"x(?:key|smtp)sib-[a-f0-9]{64}-[A-Za-z0-9]{16}"),
    _token("Resend or Postmark key", "re_", r"re_[A-Za-z0-9]{8}_[A-Za-z0-9]{24}"),
    form("X bearer token", "aaaaaaaaaaaa", r"(?P<secret>A{20,24}[A-Za-z0-9%]{50,120})"),
    _token("Meta token", "eaa", r"EAA(?:M|C|B|A)[A-Za-z0-9]{80,250}"),
    _token("Intercom, Zendesk or Asana token", "dg9r", r"dG9rO[A-Za-z0-9+/=]{54}"),
    _token("Linear key", "lin_api_ lin_oauth_", r"lin_(?:api|oauth)_[A-Za-z0-9]{40,64}"),
    _token("Notion token", "ntn_ secret_", r"ntn_\d{11}[A-Za-z0-9]{32,35}|secret_[A-Za-z0-9]{43}"),
    _token("Airtable token", "pat key", r"pat[A-Za-z0-9]{14}\.[a-f0-9]{64}"),
    _token("Figma token", "figd_ figo_", r"fig[dou]h?_[A-Za-z0-9_-]{40}"),
    _token("Typeform token", "tfp_", r"tfp_[A-Za-z0-9_.=-]{59}"),
    _token("Frame.io token", "fio-u-", r"fio-u-[A-Za-z0-9_=-]{64}"),
    _token("Dropbox token", "sl.", r"sl\.(?:u\.)?[A-Za-z0-9_=-]{130,160}"),
    _token("Mapbox token", "sk.ey", r"sk\.eyJ[A-Za-z0-9_-]{40,120}\.[A-Za-z0-9_-]{20,40}"),
    _near("Algolia key", "algolia", r"[a-f0-9]{32}"),
    _near("Facebook secret", "facebook|fb_app", r"[a-f0-9]{32}"),
    _near("X or LinkedIn secret", "twitter|linkedin", r"[A-Za-z0-9]{45,50}|[A-Za-z0-9]{35,44}|[A-Za-z0-9]{25}|[A-Za-z0-9]{16}"),
    _near("Okta or Auth0 secret", "okta|auth0", r"00[\w=-]{40}|[A-Za-z0-9_-]{64}"),
    _near("Fastly or Confluent key", "fastly|confluent", r"[A-Za-z0-9=_-]{32}|[A-Za-z0-9+/]{64}|[A-Za-z0-9]{16}"),
    _near(
        "Asana, Zendesk or Freshdesk token",
        "asana|zendesk|freshdesk|dropbox|bitbucket|jira|atlassian|confluence|beamer|kraken|kucoin"
        "|coinbase|bittrex"
        "|etsy|finnhub|gitter|hubspot|intercom|launchdarkly|mattermost|messagebird|netlify|nytimes"
        "|rapidapi|sendbird|squarespace|sumo|trello|yandex|zoho",
        r"(?=[A-Za-z0-9_=-]{0,79}\d)(?=[A-Za-z0-9_=-]{0,79}[A-Za-z])[A-Za-z0-9_=-]{24,80}",
    ),
)
PAYMENTS: Sequence[Format] = (
    _token("Mollie key", "live_", r"live_(?=[A-Za-z0-9]*\d)[A-Za-z0-9]{30,36}"),
    _token("Paddle key", "pdl_", r"pdl_(?:live|sdbx)_apikey_01[a-z0-9]{24}_[A-Za-z0-9]{22}_[A-Za-z0-9]{3}"),
    _token(
        "Stripe key", "sk_live_ sk_test_ sk_prod_ rk_live_ rk_test_ rk_prod_", r"[sr]k_(?:live|test|prod)_[0-9A-Za-z]{16,250}"
    ),
    _token("Stripe webhook secret", "whsec_", r"whsec_[A-Za-z0-9+/=]{32,80}"),
    _token("Square token", "sq0 eaaa", r"sq0(?:atp|csp|idp)-[A-Za-z0-9_-]{22,50}|EAAA[A-Za-z0-9_-]{60}"),
    _token("Shopify token", "shpat_ shpca_ shppa_ shpss_ shpua_", r"shp(?:at|ca|pa|ss|ua)_[a-fA-F0-9]{32}"),
    form(
        "PayPal or Braintree token",
        "access_token$",
        r"(?P<secret>access_token\$(?:production|sandbox)\$[0-9a-z]{16}\$[0-9a-f]{32})",
    ),
    _token(
        "Plaid token", "access-sandbox access-development access-production", rf"access-(?:sandbox|development|production)-{UUID}"
    ),
    _token("Flutterwave key", "flwseck flwpubk", r"FLW(?:SEC|PUB)K(?:_TEST)?-[A-Za-z0-9]{32}-X"),
    _token("Razorpay, Paystack or Mollie key", "rzp_ sk_live test_ live_", r"rzp_(?:live|test)_[A-Za-z0-9]{14}"),
    _token("Adyen key", "aqe", r"AQE[A-Za-z0-9]{4,8}\w{50,}[A-Za-z0-9+/=-]*"),
    _token(
        "Duffel, EasyPost or Shippo key",
        "duffel_ ezak ezt shippo_",
        r"duffel_(?:test|live)_[A-Za-z0-9_=-]{43}|EZ[AT]K[A-Za-z0-9]{54}|shippo_(?:live|test)_[a-fA-F0-9]{40}",
    ),
    _token("GoCardless token", "live_ sandbox_", r"(?:live|sandbox)_[A-Za-z0-9_=-]{40}"),
    _token("Lob or Checkr key", "live_ test_", r"(?:live|test)_(?:pub_)?[a-f0-9]{31,35}"),
)
KEYS: Sequence[Format] = (
    form(
        "private key",
        "private key",
        r"-----BEGIN[ A-Z0-9_-]{0,100}PRIVATE KEY(?: BLOCK)?-----(?P<secret>(?:[\s\"'+,>|#*/;]"
        r"|\\[rn]|Proc-Type:[^\n]*+|DEK-Info:[^\n]*+|Version:[^\n]*+|Comment:[^\n]*+)*+[A-Za-z0-9+/=]{30,})",
    ),
    form(
        "private key",
        "b3blbnnzac1rzxktdj mii mc4caqaw mhccaqe mighageamb migkage mfgcageambma pkcs putty-user-key-file lqo lqd lqh",
        r"(?<![A-Za-z0-9+/])(?P<secret>b3BlbnNzaC1rZXktdjE[A-Za-z0-9+/]{40}|MI[IGH][A-Za-z0-9+/]{1,6}(?:IBADANBgkqhkiG9w0B"
        r"AQEFAASC|IBAAKC)[A-Za-z0-9+/]{30}"
        r"|MC4CAQAwBQYDK2VwBCIEI[A-Za-z0-9+/]{30}|MHcCAQEEI[A-Za-z0-9+/]{40}|MIGHAgEAMBMGByqGSM49[A-Za-z0-9+/]{40}"
        r"|MIGkAgEBBD[A-Za-z0-9+/]{40}|l[QI][OcHVDWF][A-Za-z0-9+/]{3}[RBG][A-Za-z0-9+/]{58})",
    ),
    form("private key", "putty-user-key-file", r"PuTTY-User-Key-File-[23]:(?P<secret>[^\0]{0,600}?Private-Lines: \d+)"),
    form("JSON web token", "eyj", r"(?<![A-Za-z0-9_-])(?P<secret>ey[A-Za-z0-9_-]{15,}\.ey[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{16,})"),
    form(
        "Ethereum or Bitcoin key",
        "private priv_key privkey mnemonic_key",
        r"(?i:priv(?:ate)?_?-?key)[\"'`]?\s{0,3}(?:=|:|=>|:=|,)\s{0,3}[\"'`]?(?P<secret>(?:0x)?[a-f0-9]{64})(?![0-9a-f])",
    ),
)
HEADERS: Sequence[Format] = (
    form(
        "bearer token",
        "bearer",
        r"(?i:bearer)\s{1,3}(?P<secret>(?=[A-Za-z0-9._~+/-]{0,300}\d)(?=[A-Za-z0-9._~+/-]{0,300}[A-Za-z])[A-Za-z0-9._~+/-]{20,}={0,2})",
    ),
    form(
        "basic authentication",
        "basic",
        r"(?i:authorization[\"']?\s{0,3}[:=,]\s{0,3}[\"']?\s{0,3}basic|basic)\s{1,3}(?P<secret>[A-Za-z0-9+/]{16,}={0,2})(?"
        r"![A-Za-z0-9+/=])",
    ),
    form(
        "password on a command line",
        "curl wget",
        r"(?:curl|wget|http)\b[^\n]{0,200}?\s(?:-u|--user|--password)[ =][\"']?(?:[^\s:\"']+:)?(?P<secret>[^\s\"'$<{]{8,})",
    ),
)
FORMATS: Sequence[Format] = (*FORGES, *CLOUDS, *PLATFORMS, *MODELS, *MESSAGING, *PAYMENTS, *KEYS, *HEADERS)
