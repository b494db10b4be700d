// Follow buttons in place: the form of a button is sent without leaving the page. Whatever on the
// page is about the same user changes with it, at once, and back again where the request fails.
// Without this script the forms work all the same. Nothing here needs more than script-src 'self'.
(() => {
  "use strict";

  const UNITS = [[1e12, "T"], [1e9, "B"], [1e6, "M"], [1e3, "K"]];

  // The rule of compact_number in numbers.py.
  function compact(number) {
    for (const [unit, letter] of UNITS) {
      if (number >= unit) {
        const tenths = Math.floor(number * 10 / unit);
        const whole = Math.floor(tenths / 10);
        return whole >= 100 || tenths % 10 === 0 ? whole + letter : tenths / 10 + letter;
      }
    }
    return String(number);
  }

  // Compared here, not in the selector, so that a key may contain anything.
  const formsOf = (user) =>
    [...document.querySelectorAll("form[data-follow]")].filter((form) => form.dataset.follow === user);
  const countsOf = (user, list) =>
    [...document.querySelectorAll("[data-follow-count]")].filter(
      (count) => count.dataset.user === user && count.dataset.followCount === list);

  function showState(user, following) {
    for (const form of formsOf(user)) {
      const { followUrl, unfollowUrl, followText, unfollowText } = form.dataset;
      form.dataset.following = following;
      form.setAttribute("action", following ? unfollowUrl : followUrl);
      form.querySelector("[data-follow-label]").textContent = following ? unfollowText : followText;
    }
  }

  function showCount(count, number) {
    count.dataset.number = number;
    count.textContent = compact(number);
    count.title = number.toLocaleString("en");
    const noun = count.parentElement.querySelector("[data-follow-noun]");
    if (noun) noun.textContent = number === 1 ? noun.dataset.one : noun.dataset.many;
  }

  const addToCount = (user, list, change) => {
    for (const count of countsOf(user, list)) showCount(count, Number(count.dataset.number) + change);
  };
  const setCounts = (person) => {
    for (const count of countsOf(person.id, "followers")) showCount(count, person.followers_count);
    for (const count of countsOf(person.id, "followed")) showCount(count, person.followed_count);
  };

  function showBusy(user, busy) {
    for (const form of formsOf(user)) {
      // Not `disabled`, which would take the focus away from who uses the keyboard.
      const button = form.querySelector("button");
      if (busy) button.setAttribute("aria-disabled", "true");
      else button.removeAttribute("aria-disabled");
    }
  }

  // Made before anything is said, so that screen readers listen to it; and again where a script of
  // the host's has exchanged the whole body since.
  let region;
  function say(text) {
    prepareRegion();
    region.textContent = text;
  }
  function prepareRegion() {
    if (region?.isConnected) return;
    region = document.createElement("div");
    region.setAttribute("role", "status");
    region.setAttribute("aria-live", "polite");
    region.dataset.followSaid = "";
    Object.assign(region.style, {
      position: "absolute", width: "1px", height: "1px", overflow: "hidden",
      clipPath: "inset(50%)", whiteSpace: "nowrap",
    });
    document.body.append(region);
  }

  async function send(url, fields) {
    const response = await fetch(url, {
      method: "POST",
      headers: { Accept: "application/json" },
      body: fields,
      credentials: "same-origin",
      redirect: "error",
      keepalive: true, // whoever leaves the page at once has pressed all the same
    });
    if (!response.ok) throw Object.assign(new Error(), { status: response.status });
    return response.json();
  }

  const underWay = new Set();

  async function press(form) {
    const { follow: user, viewer, followedSaid, unfollowedSaid, failedSaid } = form.dataset;
    if (underWay.has(user)) return;
    underWay.add(user);
    const url = form.action;
    const fields = new URLSearchParams(new FormData(form));
    const following = form.dataset.following !== "true";
    const show = (state, change) => {
      showState(user, state);
      addToCount(user, "followers", change);
      addToCount(viewer, "followed", change);
    };
    show(following, following ? 1 : -1);
    showBusy(user, true);
    try {
      const told = await send(url, fields);
      showState(user, told.user.following);
      setCounts(told.user);
      setCounts(told.viewer);
      say(told.user.following ? followedSaid : unfollowedSaid);
    } catch (error) {
      show(!following, following ? -1 : 1);
      say(failedSaid);
      if (error.status === 401) form.submit(); // logged out meanwhile: to the login page
    } finally {
      underWay.delete(user);
      showBusy(user, false);
    }
  }

  document.addEventListener("submit", (event) => {
    if (!event.target.matches("form[data-follow]") || event.defaultPrevented) return;
    event.preventDefault();
    press(event.target);
  });
  if (document.body) prepareRegion();
  else document.addEventListener("DOMContentLoaded", prepareRegion);
})();
