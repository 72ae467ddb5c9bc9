// The stand-in for a store's sign-in: asks for the address and a token, as `make demo` prints them, if none was given.
import { connectionOfPage, element } from "./coffer.js";

/** Resolve with { endpoint, token } once there is a token. */
export function signIn(who) {
  const found = connectionOfPage();
  if (found.token) return Promise.resolve(found);
  return new Promise((resolve) => {
    const form = element(
      "form",
      { class: "card sign-in" },
      element("h1", {}, "Sign in"),
      element("p", { class: "muted" }, `Paste the ${who}’s token that `, element("code", {}, "make demo"), " printed."),
      element("label", {}, "Server", element("input", { name: "endpoint", type: "url", required: true, value: found.endpoint })),
      element("label", {}, "Token", element("input", { name: "token", required: true, autocomplete: "off", spellcheck: "false" })),
      element("button", { class: "primary" }, "Continue"),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const given = Object.fromEntries(new FormData(form));
      for (const [name, value] of Object.entries(given)) sessionStorage.setItem(`coffer-${name}`, value.trim());
      form.remove();
      resolve(connectionOfPage());
    });
    document.body.append(form);
  });
}

/** Forget the token and begin again. */
export function signOut() {
  sessionStorage.removeItem("coffer-token");
  location.reload();
}
