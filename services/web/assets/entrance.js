// A link that signs in carries its key behind the #: browsers send that to nobody. It goes into the form and out of the address.
(() => {
  "use strict";
  const field = document.querySelector("input[name=token]");
  const key = location.hash.slice(1);
  if (!field || !/^[A-Za-z0-9_-]{20,100}$/.test(key)) return;
  history.replaceState(null, "", location.pathname + location.search);
  field.value = key;
  field.form.querySelector("button").focus();
})();
