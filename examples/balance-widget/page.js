// Hands the widgets on this page their server and token. A shop writes the attributes into its HTML instead.
import { signIn } from "../sign-in.js";

const { endpoint, token } = await signIn("customer");
for (const widget of document.querySelectorAll("coffer-balance")) {
  widget.setAttribute("endpoint", endpoint);
  widget.setAttribute("token", token);
}
