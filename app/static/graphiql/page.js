// Starts GraphiQL with what the server wrote into the page: where the API is and which example tabs to show.
"use strict";

(() => {
  const { React, ReactDOM, GraphiQL } = window;
  const configText = document.getElementById("coffer-config").textContent;
  const config = JSON.parse(configText);

  // Addresses are relative to the page, so a proxy may put the server below any prefix.
  const httpUrl = new URL(config.endpoint, location.href);
  const socketUrl = new URL(config.subscriptions, location.href);
  socketUrl.protocol = socketUrl.protocol === "https:" ? "wss:" : "ws:";

  const send = GraphiQL.createFetcher({ url: httpUrl.href, subscriptionUrl: socketUrl.href });

  // GraphiQL opens one graphql-transport-ws client per subscription and puts the tab's headers into connection_init,
  // with the spelling of the header editor. HTTP ignores the case of a header's name, a payload's key doesn't:
  // lower case makes one token mean the same on both roads.
  const fetcher = (parameters, options = {}) => {
    const headers = Object.fromEntries(
      Object.entries(options.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value]),
    );
    return send(parameters, { ...options, headers });
  };

  // Tabs hold bearer tokens. They live as long as the browser's tab (a reload keeps them, closing forgets them);
  // only the choice of theme is worth keeping longer.
  const THEME = "graphiql:theme";
  const CONFIG = "graphiql:coffer-config";
  const ownKeys = (store) => Object.keys(store).filter((key) => key.startsWith("graphiql:") && key !== CONFIG);
  const forgetTabs = () => ownKeys(sessionStorage).forEach((key) => sessionStorage.removeItem(key));
  const activeTab = (tabState) => {
    const { tabs, activeTabIndex } = JSON.parse(tabState ?? "{}");
    return tabs?.[activeTabIndex];
  };
  const storage = {
    getItem: (key) => (key === THEME ? localStorage : sessionStorage).getItem(key),
    setItem: (key, value) => (key === THEME ? localStorage : sessionStorage).setItem(key, value),
    removeItem: (key) => (key === THEME ? localStorage : sessionStorage).removeItem(key),
    get length() {
      return ownKeys(sessionStorage).length;
    },
    clear() {
      localStorage.removeItem(THEME);
      forgetTabs();
    },
  };

  // A server that was started anew hands out new tokens: what an older page left behind would only be refused.
  if (sessionStorage.getItem(CONFIG) !== configText) {
    forgetTabs();
    sessionStorage.setItem(CONFIG, configText);
  }

  // GraphiQL fills its editors from these three keys, and adds a tab if they match none; it writes them late and not all
  // of them, so a first visit would show the first tab without its token, and a quick reload would grow a tab.
  const [first] = config.tabs;
  const active = activeTab(sessionStorage.getItem("graphiql:tabState")) ?? first;
  for (const part of ["query", "variables", "headers"]) {
    if (active?.[part]) storage.setItem(`graphiql:${part}`, active[part]);
    else storage.removeItem(`graphiql:${part}`);
  }

  const logo = React.createElement(
    "span",
    { className: "coffer-logo" },
    React.createElement("img", { src: `${config.assets}/favicon.svg`, alt: "" }),
    config.title,
  );
  const page = React.createElement(
    GraphiQL,
    {
      fetcher,
      storage,
      defaultTabs: config.tabs.length ? config.tabs : undefined,
      defaultHeaders: first?.headers,
      defaultEditorToolsVisibility: first?.variables ? "variables" : "headers",
      shouldPersistHeaders: true,
    },
    React.createElement(GraphiQL.Logo, null, logo),
  );
  ReactDOM.createRoot(document.getElementById("coffer")).render(page);
})();
