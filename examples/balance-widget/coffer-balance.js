// <coffer-balance>: a wallet's balance that is always right, as a custom element.
//
//     <coffer-balance endpoint="https://wallet.shop.example/graphql" token="…"></coffer-balance>
//
// Attributes: `endpoint`; `token`, which may be changed at any time; `customer`, the store's id of the customer, for
// staff (left out, it is the caller's own wallet); `show`: balance, available (the default) or withdrawable; `label`.
// Event: `coffer-update`, whose `detail` is the update. Look: inherit the font and colour, or style the parts
// `label`, `amount` and `change`.
import { connect, isZero, money, signed } from "../coffer.js";

const OWN_WALLET = "{ viewer { wallet { id } } }";
const CHANGE_SHOWN_MS = 4_000;

const SHAPE = `
  <style>
    :host { display: inline-grid; grid-template-columns: auto auto; align-items: baseline; column-gap: 0.5em; position: relative; }
    :host([hidden]) { display: none; }
    [part=label] { font-size: 0.8125em; opacity: 0.75; }
    [part=label]:empty { display: none; }
    [part=amount] { font-variant-numeric: tabular-nums; font-weight: 650; white-space: nowrap; }
    [part=change] { position: absolute; right: 0; top: 100%; font-size: 0.8125em; font-weight: 650; white-space: nowrap; opacity: 0; pointer-events: none; }
    [part=change].shown { animation: change ${CHANGE_SHOWN_MS}ms ease-out; }
    :host([data-status=offline]) [part=amount] { opacity: 0.5; }
    @keyframes change { 0% { opacity: 0; transform: translateY(-0.6em); } 8%, 75% { opacity: 1; transform: none; } 100% { opacity: 0; } }
    @media (prefers-reduced-motion: reduce) { [part=change].shown { animation-timing-function: step-end; } }
  </style>
  <span part="label"></span><span part="amount" role="status">…</span><span part="change" aria-hidden="true"></span>`;

class CofferBalance extends HTMLElement {
  static observedAttributes = ["endpoint", "token", "customer", "show", "label"];

  #root = this.attachShadow({ mode: "open" });
  #wallet = null;
  #stop = () => {};
  #turn = 0;

  constructor() {
    super();
    this.#root.innerHTML = SHAPE;
  }

  connectedCallback() {
    this.#watch();
  }

  disconnectedCallback() {
    this.#turn++;
    this.#stop();
  }

  attributeChangedCallback(name, before, after) {
    if (before === after) return;
    this.#render();
    // A new token serves the next connection; the open one goes on until its own token ends.
    const needsWatching = name === "endpoint" || name === "customer" || (name === "token" && !before);
    if (needsWatching && this.isConnected) this.#watch();
  }

  async #watch() {
    this.#stop();
    this.#stop = () => {};
    const turn = ++this.#turn;
    const { endpoint, customer, hasToken } = this.#given();
    if (!endpoint || !hasToken) return;
    const coffer = connect({ endpoint, token: () => this.getAttribute("token") });
    try {
      const selector = customer ? { storeCustomerId: customer } : await ownWallet(coffer);
      if (turn !== this.#turn) return;
      if (selector) this.#stop = coffer.watchWallet(selector, this.#listener());
      else this.hidden = true; // nobody's wallet: not known to Coffer yet
    } catch (error) {
      if (turn === this.#turn) this.#fail(error);
    }
  }

  #given() {
    const token = this.getAttribute("token");
    return { endpoint: this.getAttribute("endpoint"), customer: this.getAttribute("customer"), hasToken: Boolean(token) };
  }

  #listener() {
    return {
      next: (update) => {
        this.#wallet = update.wallet;
        this.#render();
        if (update.transaction) this.#tellChange(update.transaction);
        this.dispatchEvent(new CustomEvent("coffer-update", { detail: update, bubbles: true, composed: true }));
      },
      status: (status) => (this.dataset.status = status),
      error: (error) => this.#fail(error),
    };
  }

  #render() {
    this.#part("label").textContent = this.getAttribute("label") ?? "";
    if (!this.#wallet) return;
    const shown = this.#wallet[this.getAttribute("show") ?? "available"] ?? this.#wallet.available;
    this.#part("amount").textContent = money(shown);
    this.toggleAttribute("empty", isZero(shown));
  }

  #tellChange(transaction) {
    const change = this.#part("change");
    change.textContent = signed(transaction);
    change.classList.remove("shown");
    void change.offsetWidth; // begins the animation anew
    change.classList.add("shown");
  }

  #fail(error) {
    this.dataset.status = "offline";
    this.dispatchEvent(new CustomEvent("coffer-error", { detail: error, bubbles: true, composed: true }));
  }

  #part(name) {
    return this.#root.querySelector(`[part=${name}]`);
  }
}

async function ownWallet(coffer) {
  const { viewer } = await coffer.ask(OWN_WALLET);
  return viewer.wallet && { id: viewer.wallet.id };
}

customElements.define("coffer-balance", CofferBalance);
