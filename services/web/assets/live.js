// Live updates: regions marked data-live follow the server; the log follows the event stream. Without this, pages still work.
(() => {
  "use strict";
  const log = document.getElementById("log");
  const lamp = document.querySelector("[data-live-state]");
  let refreshing = false;
  let again = false;

  async function refresh() {
    if (refreshing) { again = true; return; }
    refreshing = true;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (answer.ok) replace(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch { /* the next one may get through */ }
    refreshing = false;
    if (again) { again = false; later(); }
  }

  function replace(fresh) {
    for (const region of document.querySelectorAll("[data-live]")) {
      const newer = fresh.getElementById(region.id);
      // Nobody loses what they are typing or pointing at.
      if (!newer || region.innerHTML === newer.innerHTML || busy(region)) continue;
      const unfolded = [...region.querySelectorAll("details")].map((each) => each.open);
      region.innerHTML = newer.innerHTML;
      region.querySelectorAll("details").forEach((each, index) => { if (unfolded[index] !== undefined) each.open = unfolded[index]; });
    }
  }

  function busy(region) {
    const typed = [...region.querySelectorAll("textarea, input:not([type=hidden])")].some((field) => field.value !== field.defaultValue || field.checked !== field.defaultChecked);
    return typed || (region.contains(document.activeElement) && document.activeElement.matches("input, textarea, select, button"));
  }

  let timer = 0;
  function later(delay = 400) {
    clearTimeout(timer);
    timer = setTimeout(refresh, delay);
  }

  function follow() {
    const stream = new EventSource(`${log.dataset.events}?after=${log.dataset.after}`);
    const kinds = ["state", "step_started", "step_finished", "step_failed", "model_call", "tool_call", "handoff", "commit", "plan",
      "check", "pull_request", "review", "thread_answer", "comment", "ci",
      "guardrail", "artifact", "note"];
    stream.onopen = () => { if (lamp) lamp.textContent = "live"; };
    stream.onerror = () => { if (lamp) lamp.textContent = "reconnecting"; };
    for (const kind of kinds) stream.addEventListener(kind, (message) => { append(JSON.parse(message.data)); later(); });
    stream.addEventListener("end", () => { stream.close(); if (lamp) lamp.textContent = ""; later(0); });
  }

  function append(event) {
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
    const line = document.createElement("li");
    line.className = event.kind;
    for (const [tag, name, text] of [["time", "", event.at.slice(11, 19)], ["span", "kind", event.agent || event.step || event.kind.replaceAll("_", " ")], ["span", "text", event.text]]) {
      const part = document.createElement(tag);
      part.className = name;
      part.textContent = text;
      line.append(part);
    }
    log.append(line);
    while (log.children.length > 1000) log.firstElementChild.remove();
    if (atEnd) log.scrollTop = log.scrollHeight;
  }

  document.addEventListener("submit", (event) => {
    const question = event.target.dataset.sure;
    if (question && !confirm(question)) { event.preventDefault(); return; }
    // A second click must not send the form twice.
    if (event.target.dataset.sent) event.preventDefault();
    event.target.dataset.sent = "yes";
  });
  addEventListener("pageshow", () => document.querySelectorAll("form[data-sent]").forEach((form) => delete form.dataset.sent));

  if (log) {
    log.scrollTop = log.scrollHeight;
    if (!("ended" in log.dataset)) follow();
  } else if (document.querySelector("[data-live]")) {
    setInterval(() => { if (!document.hidden) refresh(); }, 4000);
  }
})();
