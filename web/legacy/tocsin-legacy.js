/*
 * Tocsin's inbox for browsers that nobody updates any more: one file, no build step,
 * ES5 syntax and nothing of the library beyond Internet Explorer 8 in standards mode.
 * It speaks docs/protocol.md §4 (polls), §6 (WebSocket), §8 (gaps) and §9 (commands).
 *
 * Every round begins with a short poll, which says whether the server can be reached
 * and the token is good, and brings what there is. Then the best transport goes on at
 * the same cursor: WebSocket, long poll, short poll. One that never came to life gives
 * way to the next, one that lived and broke is tried again. So a network that is down
 * is never taken for a transport that does not work.
 */
(function (global) {
  "use strict";


  /**
   * Opens an inbox, which stays current by itself until close().
   *
   * options: url, the server without a slash at its end (absent: where the page comes
   * from); token, or getToken(done), which calls done(token) whenever one is needed;
   * transports, of "websocket", "longpoll", "poll" in the order of preference; cursor,
   * to go on from (absent: everything open); timing, see below; and what to call:
   * onentries(entries), onchange(inbox), onstate(name, inbox), ongap(gap).
   *
   * Times are milliseconds, but silence, which is in intervals of the server's ping, and
   * wait, in seconds.
   */
  function createInbox(options) {
    var timing = { hello: 5000, silence: 2.5, retryFirst: 500, retryMost: 30000, probe: 600000, wait: 25, request: 10000 };
    var url = options.url || "";
    var origin = location.protocol + "//" + location.host;
    var base = /^https?:/i.test(url) ? url : origin + url;
    // Internet Explorer 8 and 9 reach other origins only by this, without headers, and
    // hear nothing of a status.
    var foreign = global.XDomainRequest && (base + "/").indexOf(origin + "/") && !("withCredentials" in new XMLHttpRequest());
    var token = options.token;
    var tag = ""; // of the newest answer: who waits with it hears of counters that changed before
    var list = {}; // alarms by device, type and qualifier, notices by id
    var wanted, at; // the transports, and which of them is in use
    var turn = 0; // of the present round: what belongs to an older one has no say
    var stop, timer; // end what the round waits for
    var failures = 0; // rounds in a row that did not last
    var denied = 0; // times in a row that the token was not accepted
    var own = { state: "", transport: "", cursor: options.cursor || "", counts: { unread: 0, active: {} }, problem: null };

    // What the page throws is thrown where it stops nothing of ours.
    function tell(name, what) {
      try {
        if (options[name]) options[name](what, own);
      } catch (e) {
        setTimeout(function () { throw e; }, 0);
      }
    }

    function enter(name, transport) {
      transport = transport || "";
      if (own.state === name && own.transport === transport) return;
      own.state = name;
      own.transport = transport;
      tell("onstate", name);
    }

    // ---- the list

    // An alarm has one place, whichever its occurrence, as the server counts them. The
    // answer to a command, which has no type, may be here before the entry that tells it.
    function put(type, what, alarm, time) {
      var key = alarm ? "a" + JSON.stringify([what.device, what.type, what.qualifier]) : "n" + what.id;
      var known = list[key] || {}, older = known.what && alarm && what.rev < known.what.rev;
      if (alarm && type && what.rev < known.told) return false;
      if (type || known.what) list[key] = { what: older ? known.what : what, alarm: alarm, told: type ? what.rev : known.told, at: (alarm && what.received_at) || time };
      if (type === "alarm.removed") delete list[key];
      return true;
    }

    // What is kept, the newest first: alarms, or notices.
    function kept(alarms) {
      var found = [], key, done = 0, i;
      for (key in list) if (list[key].alarm === alarms) found.push(key);
      found.sort(function (a, b) { return list[a].at < list[b].at ? 1 : list[a].at > list[b].at ? -1 : 0; });
      for (i = 0; i < found.length; i++) {
        key = found[i];
        found[i] = list[key].what;
        if (alarms && (found[i].active || !found[i].acked) || ++done <= 100) continue; // so many that are over, and notices
        delete list[key];
        found.splice(i--, 1);
      }
      return found;
    }

    function count(told) { own.counts = { unread: told.unread, active: told.active, flood: told.flood }; }

    // Takes a page or a frame: the gap, the entries, and the cursor after them.
    function take(told) {
      var entries = told.entries || [], fresh = [], i, e, what;
      if (told.gap) {
        if (told.gap.reason !== "compacted") list = {};
        tell("ongap", told.gap);
      }
      for (i = 0; i < entries.length; i++) {
        e = entries[i];
        what = e.alarm || e.notice;
        if (what && !put(e.type, what, !!e.alarm, e.time)) continue;
        // In a flood lesser alarms make no sound.
        if (e.alarm && told.flood && /^(mi|wa)/.test(e.alarm.severity)) e.quiet = true;
        fresh.push(e);
      }
      if (told.cursor) own.cursor = told.cursor;
      if (told.active) count(told);
      if (fresh.length) {
        kept(true);
        kept(false);
        tell("onentries", fresh);
      }
      tell("onchange", own);
    }

    // ---- requests

    // Asks for the token where there is none; ok or fail is called, later or at once.
    function withToken(ok, fail) {
      if (token) return ok();
      if (!options.getToken) return fail(401, {});
      options.getToken(function (given) {
        token = given;
        if (given) ok();
        else fail(0, {});
      });
    }

    // Sends once, a body as text/plain, since XDomainRequest knows no other, and calls
    // done(status, answer, retry in ms); the status is 0 where there was no answer. poll
    // is 1 for one, more for one that waits. Returns what ends it without a word.
    function send(path, body, ms, done, poll) {
      var request = foreign ? new XDomainRequest() : new XMLHttpRequest();
      var over = false, guard;
      function cancel() {
        over = true;
        clearTimeout(guard);
        try { request.abort(); } catch (e) { /* it had ended */ }
      }
      function end(status) {
        var answer, retry = 0;
        if (over) return;
        if (status) {
          if (!foreign) retry = (request.getResponseHeader("Retry-After") | 0) * 1000;
          if (poll && !foreign) tag = request.getResponseHeader("ETag");
          if (status !== 304) try { answer = JSON.parse(request.responseText); } catch (e) { status = 0; } // not from us
        }
        cancel();
        done(status, answer || {}, retry);
      }
      guard = setTimeout(function () { end(0); }, ms);
      path = base + path;
      if (foreign) path += (path.indexOf("?") < 0 ? "?" : "&") + "access_token=" + encodeURIComponent(token);
      try {
        request.open(body ? "POST" : "GET", path, true);
        if (foreign) {
          request.onload = function () { end(200); };
          request.onerror = request.ontimeout = function () { end(0); };
          request.onprogress = function () {}; // without it answers are lost
          request.timeout = ms;
        } else {
          request.onreadystatechange = function () { if (request.readyState === 4) end(request.status); };
          request.setRequestHeader("Authorization", "Bearer " + token);
          if (poll > 1 && tag) request.setRequestHeader("If-None-Match", tag);
        }
        request.send(body ? JSON.stringify(body) : null);
      } catch (e) {
        setTimeout(function () { end(0); }, 0);
      }
      return cancel;
    }

    // A command: done(problem or null, answer). A token that is over is replaced once.
    function command(path, body, done, again) {
      function failed(status, answer) {
        if (status === 401 && !again && options.getToken) {
          token = "";
          return command(path, body, done, true);
        }
        answer.status = status;
        done(answer, {});
      }
      withToken(function () {
        send(path, body, timing.request, function (status, answer) {
          if (status < 200 || status > 299) failed(status, answer);
          else done(null, answer);
        });
      }, failed);
    }

    // ---- rounds

    function pause() { return Math.random() * Math.min(timing.retryMost, timing.retryFirst * Math.pow(2, failures)); }

    // Drops what the round waits for.
    function quiet() {
      var end = stop;
      clearTimeout(timer);
      stop = null;
      if (end) end();
    }

    // Ends the rounds, until connect().
    function halt(name) {
      turn++;
      quiet();
      enter(name);
    }

    // Begins a round, after so many milliseconds.
    function round(ms) {
      var mine = ++turn;
      // What is called back does something only while the round is the present one.
      function present(act) {
        return function (a, b, c) { if (mine === turn) act(a, b, c); };
      }
      quiet();
      timer = setTimeout(present(function begin() {
        page(present, 0, function (answer) {
          if (answer.more) begin();
          else runs[wanted[at]](present, +new Date(), answer.interval * 1000);
        });
      }), ms);
    }

    // The run of a transport is over that lived since then (0: never): the next round.
    function over(since, retry, name) {
      if (!since && at + 1 < wanted.length) at++;
      if (since && new Date() - since > timing.hello) failures = 0;
      else failures++;
      if (since) enter(name || "connecting");
      round(retry || pause());
    }

    // A poll was not answered as it should: status and answer say why.
    function failed(status, answer, retry) {
      var renew = status === 401 && options.getToken && denied++ < 2;
      own.problem = status ? answer : null;
      if (options.getToken && (renew || foreign)) token = "";
      if (renew) return round(0);
      // Proxies answer with errors too, but not with our problems.
      if (answer.type && /^4(?!08|29)/.test(status)) return halt("refused");
      failures++;
      enter(answer.type === "/problems/stale" ? "stale" : "offline");
      round(retry || pause());
    }

    // Polls once; then(answer) when it is taken, fail or failed when there is none.
    function page(present, wait, then, fail) {
      fail = present(fail || failed);
      timer = setTimeout(function () { fail(0, {}); }, timing.request); // for getToken that never calls back
      withToken(present(function () {
        var from = own.cursor ? "cursor=" + encodeURIComponent(own.cursor) : "snapshot=active";
        clearTimeout(timer);
        stop = send("/v1/inbox?limit=500&" + from + (wait ? "&wait=" + wait : ""), null, timing.request + wait * 1000,
          present(function (status, answer, retry) {
            stop = null;
            if (status === 304) answer = { entries: [] }, status = 200;
            if (status !== 200 || !answer.entries) return fail(status === 200 ? 0 : status, answer, retry);
            denied = 0;
            take(answer);
            then(answer);
          }), 1 + wait);
      }), fail);
    }

    // A transport's run: it ends with over, failed or halt.
    var runs = {
      websocket: function (present) {
        var since = 0, reason, retry, silence = timing.hello, socket;

        function end(code) {
          quiet();
          if (code === 4409 || reason === "superseded") return halt("superseded");
          if (code === 4403) return halt("refused");
          if (code === 4401 && options.getToken) token = ""; // else the next poll is refused
          over(since, retry, reason === "stale" ? reason : "");
        }
        function listen() { clearTimeout(timer); timer = setTimeout(present(end), silence); }
        function hear(told) {
          if (told.op === "hello") {
            since = +new Date();
            silence = told.ping * 1000 * timing.silence;
            if (!told.resumed) told.cursor = ""; // a gap comes: until then ours is right
            enter("live", "websocket");
          }
          if (told.op === "bye") reason = told.reason, retry = told.retry_ms;
          else if (told.op === "ping") own.cursor = told.cursor;
          else if (told.op !== "ok" && told.op !== "error") take(told);
          listen();
        }
        listen();
        try { socket = new WebSocket(base.replace(/^http/i, "ws") + "/v1/inbox/ws", "tocsin.v1.json"); } catch (e) { return end(); }
        stop = function () {
          socket.onopen = socket.onmessage = socket.onclose = null;
          socket.close();
        };
        socket.onopen = function () { socket.send(JSON.stringify({ op: "auth", token: token, cursor: own.cursor })); };
        socket.onmessage = function (event) { hear(JSON.parse(event.data)); };
        socket.onclose = function (event) { end(event.code); };
      },

      longpoll: function (present, began) {
        var since = 0;
        enter("live", "longpoll");
        (function again() {
          var asked = +new Date();
          page(present, timing.wait, function (answer) {
            since = since || asked;
            // Nothing so soon: the node goes down, or something in between does not wait.
            later(present, began, again, answer.entries.length || new Date() - asked > 1000 ? 0 : 1000);
          }, function (status, answer, retry) {
            if (status) failed(status, answer, retry);
            else over(since);
          });
        })();
      },

      poll: function (present, began, ms) {
        enter("polling", "poll");
        later(present, began, function again() {
          page(present, 0, function (answer) { later(present, began, again, answer.interval * 1000); });
        }, ms);
      }
    };

    // Goes on polling in a while, unless it is time to try something better.
    function later(present, began, again, ms) {
      failures = 0;
      if (at > 0 && new Date() - began > timing.probe) {
        at = 0;
        again = function () { round(0); };
      }
      timer = setTimeout(present(again), ms);
    }

    function use(names) {
      var i;
      wanted = [];
      at = failures = denied = 0;
      names = names || ["websocket", "longpoll", "poll"];
      for (i = 0; i < names.length; i++) if (runs[names[i]] && (names[i] !== "websocket" || global.WebSocket)) wanted.push(names[i]);
      if (!wanted.length) wanted.push("poll");
      enter("connecting");
      round(0);
    }

    function wake() { if (own.state === "offline") round(0); }

    for (var name in options.timing) timing[name] = options.timing[name];
    if (global.addEventListener) global.addEventListener("online", wake, false);

    // What callers use; tocsin-legacy.d.ts says what each does.
    own.alarms = function () { return kept(true); };
    own.notices = function () { return kept(false); };
    own.ack = function (ids, note, done) {
      var results = [];
      ids = [].concat(ids);
      (function next() {
        command("/v1/alarms/ack", { ids: ids.splice(0, 200), note: note || "" }, function (problem, answer) {
          var some = answer.results || [], i;
          for (i = 0; i < some.length; i++) if (some[i].alarm) put("", some[i].alarm, true);
          results = results.concat(some);
          tell("onchange", own);
          if (!problem && ids.length) next();
          else if (done) done(problem, results);
        });
      })();
    };
    own.act = function (id, name, body, done) {
      command("/v1/alarms/" + encodeURIComponent(id) + "/" + name, body || {}, function (problem, alarm) {
        if (!problem) put("", alarm, true);
        tell("onchange", own);
        if (done) done(problem, alarm);
      });
    };
    own.get = function (path, done) { command(path, null, done); };
    own.read = function (ids, done) {
      command("/v1/inbox/read", ids ? { ids: [].concat(ids) } : { upto: own.cursor }, function (problem, answer) {
        if (!problem) count(answer);
        tell("onchange", own);
        if (done) done(problem, own.counts);
      });
    };
    own.use = use;
    own.connect = function () { use(wanted); };
    own.close = function () { halt("closed"); };

    use(options.transports);
    return own;
  }

  global.tocsin = { createInbox: createInbox };
})(this);
