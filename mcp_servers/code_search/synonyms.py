"""Words that programmers use for the same thing, so that a question need not guess the word that the code chose."""

from functools import cache

from mcp_servers.code_search.words import stem

_GROUPS = """
retry backoff reattempt attempt
delete remove drop erase destroy purge unlink
create make build new construct add insert
fetch get load retrieve read download pull
save store persist write dump
update modify change edit patch alter mutate
send emit publish dispatch post push notify
receive consume subscribe listen handle
auth authenticate authentication login signin credential
authorize authorization permission access allow grant role
password passwd secret credential
config configuration settings options preferences
error exception failure fail fault problem
message msg text
request req
response resp reply answer
database db sql
repository repo
directory dir folder
file path
user account member customer
price cost amount total sum
charge pay payment bill billing
refund reimburse chargeback
cart basket
order purchase checkout
count number quantity amount
check verify validate validation assert ensure
parse decode deserialize unmarshal
format render serialize encode marshal
convert transform translate map
compute calculate calc evaluate
compare diff difference equal
search find lookup query locate
filter select match
sort order rank arrange
limit throttle ratelimit quota cap
rate limit throttle
cache memo memoize lru
expire expiration ttl timeout stale
timeout deadline expire
time date datetime timestamp clock
schedule cron job timer periodic
queue job task worker
start begin launch init initialize setup boot
stop end finish close shutdown terminate kill
cancel abort
lock mutex semaphore
connect connection open dial
image picture photo thumbnail avatar
resize scale shrink
mail email smtp
log logging logger trace
metric telemetry measure stats statistics
test spec
list enumerate
copy clone duplicate
move rename relocate
merge combine join concat
split divide chunk tokenize
encrypt cipher crypto
hash digest checksum
sign signature hmac
url link uri href
route router endpoint path
page paginate pagination cursor
upload attach attachment
discount coupon voucher promo promotion
tax vat duty
stock inventory
ship shipping deliver delivery
invoice bill receipt
undo revert rollback restore
default fallback
invalid bad malformed wrong
unique distinct dedupe deduplicate duplicate
random rand shuffle
wait sleep delay
"""


@cache
def _table() -> dict[str, frozenset[str]]:
    table: dict[str, set[str]] = {}
    for line in _GROUPS.strip().splitlines():
        group = {stem(word) for word in line.split()}
        for word in group:
            table.setdefault(word, set()).update(group - {word})
    return {word: frozenset(others) for word, others in table.items()}


@cache
def _spelled() -> dict[str, str]:
    return {stem(word): word for word in sorted(_GROUPS.split(), reverse=True)}


def spelled(word: str) -> str:
    """A stem as a word to show to people: the first of this table that has it, or the stem itself."""
    return _spelled().get(word, word)


def synonyms(word: str) -> list[str]:
    """Stemmed words that may stand for a stemmed word, in order."""
    return sorted(_table().get(word, ()))
