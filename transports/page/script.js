// Refreshes the page where there is script, in the place of <meta http-equiv=refresh>,
// which stands in <noscript>. It is better at it: the way back in the browser's history
// stays short and the list does not jump; nothing is thrown away that somebody has just
// opened or selected; a server that is away for a moment leaves no dead tab; and what
// came while nobody looked is still marked when somebody does. ES5, for old browsers.
(function () {
  "use strict";
  var link = document.getElementById("refresh");
  var told = document.getElementById("again");
  var KEEP = "tocsin.scroll";
  var HELD_MOST = 60; // seconds for which a page stands still at most
  var PATIENCE = 10000; // ms for an answer
  var RETRY = 5; // seconds
  var left, held = 0, asking = false, away = false;

  function keep(value) {
    try {
      if (value === undefined) value = sessionStorage.getItem(KEEP);
      else sessionStorage.setItem(KEEP, value);
      return value;
    } catch (e) {
      return null; // the browser keeps nothing
    }
  }

  // Seconds until the next refresh. A page that nobody sees has time, unless more waits.
  function seconds() {
    return +link.getAttribute(document.hidden && +link.getAttribute("data-hidden") ? "data-hidden" : "data-seconds");
  }

  // Somebody is at the page: what he has opened, selected or gone to would be lost.
  function inUse() {
    var at = document.activeElement, selected = window.getSelection && String(window.getSelection());
    return selected || document.querySelector("main details[open]") || (at && at !== document.body && /^(A|INPUT|SUMMARY|SELECT)$/.test(at.tagName));
  }

  function go() {
    keep(String(window.pageYOffset || 0));
    // The same address marks the same, and what came since: it waits to be seen.
    if (document.hidden && +link.getAttribute("data-hidden") && /[?&]cursor=/.test(location.search)) location.reload();
    else location.replace(link.href);
  }

  // Asks first whether the server is there: the browser's own page for errors would not
  // come back from it.
  function refresh() {
    var request = new XMLHttpRequest(), guard;
    function end() {
      if (!asking || request.readyState !== 4) return;
      asking = false;
      clearTimeout(guard);
      if (request.status > 0) return go();
      left = RETRY;
      away = true;
      told.className = "away";
      say("away");
    }
    asking = true;
    guard = setTimeout(function () { request.abort(); }, PATIENCE);
    request.onreadystatechange = end;
    request.open("GET", link.getAttribute("data-alive") + "&at=" + new Date().getTime(), true);
    request.send(null);
  }

  function say(what) {
    told.innerText = told.textContent = told.getAttribute("data-" + what).replace("#", String(left));
  }

  function tick() {
    if (asking) return;
    if (left > 0 && !away) say("says");
    if (left-- > 0) return;
    if (document.hidden || held >= HELD_MOST || !inUse()) return refresh();
    held++;
    say("held");
  }

  if (!link || !told) return;
  left = seconds();
  if (keep()) window.scrollTo(0, +keep());
  keep("");
  // Who comes back gets time to see what is marked.
  if (document.addEventListener) document.addEventListener("visibilitychange", function () { left = seconds(); }, false);
  setInterval(tick, 1000);
  tick();
})();
