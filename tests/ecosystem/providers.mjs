// Two sign-in services that other people wrote, on free ports of this machine: oauth2-mock-server and oidc-provider.
// It prints where they are, then answers each line of JSON with one: {"mock": {...}} makes a token, {"rotate": true}
// gives both new keys.
import { createServer } from "node:http";
import { generateKeyPairSync } from "node:crypto";
import { createInterface } from "node:readline";
import { OAuth2Server } from "oauth2-mock-server";
import Provider from "oidc-provider";

// What the providers say to people must not stand between the answers.
const say = console.log;
console.log = console.info = console.warn = console.error;

const ALGORITHMS = ["RS256", "ES256", "EdDSA"];
let generation = 0;

// --- oauth2-mock-server: any token that a test wants ------------------------------------------------------------

const mock = new OAuth2Server();
async function newMockKeys() {
  for (const alg of ALGORITHMS) await mock.issuer.keys.generate(alg, { kid: `${alg}-${generation}` });
}
await newMockKeys();
await mock.start(0, "127.0.0.1");

const mockToken = ({ alg, claims, kid = `${alg}-${generation}`, expiresIn = 600 }) =>
  mock.issuer.buildToken({
    kid,
    expiresIn,
    scopesOrTransform: (header, payload) => Object.assign(payload, claims),
  });

// --- oidc-provider: a certified server, with access tokens of RFC 9068 (at+jwt) ----------------------------------

const KINDS = {
  RS256: ["rsa", { modulusLength: 2048 }],
  ES256: ["ec", { namedCurve: "P-256" }],
  EdDSA: ["ed25519", {}],
};
const newKey = (alg) => ({
  ...generateKeyPairSync(...KINDS[alg]).privateKey.export({ format: "jwk" }),
  kid: `oidc-${alg}-${generation}`,
  alg,
  use: "sig",
});

function provider(issuer) {
  const found = new Provider(issuer, {
    clients: [
      { client_id: "back-office", client_secret: "known", grant_types: ["client_credentials"], redirect_uris: [], response_types: [] },
    ],
    jwks: { keys: ALGORITHMS.map(newKey) },
    cookies: { keys: ["of the tests"] },
    // No token of its own makes a customer here: the claims say whose and what.
    extraTokenClaims: () => ({ customer_id: "1042", roles: ["shop_manager"] }),
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        // urn:coffer:ES256 is an API called "coffer" whose tokens are signed so.
        getResourceServerInfo: (_context, resource) => {
          const [, audience, alg] = resource.split(":");
          return { scope: "wallets", audience, accessTokenTTL: 600, accessTokenFormat: "jwt", jwt: { sign: { alg } } };
        },
      },
    },
  });
  return found.callback();
}

let answer = null;
const server = createServer((request, response) => answer(request, response));
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const oidcIssuer = `http://127.0.0.1:${server.address().port}`;
answer = provider(oidcIssuer);

// --- the test's wishes ----------------------------------------------------------------------------------------------

say(JSON.stringify({ mock: mock.issuer.url, oidc: oidcIssuer }));
for await (const line of createInterface({ input: process.stdin })) {
  const wish = JSON.parse(line);
  if (wish.rotate) {
    generation += 1;
    await newMockKeys();
    answer = provider(oidcIssuer);
  }
  say(JSON.stringify(wish.mock ? await mockToken(wish.mock) : generation));
}
process.exit(0);
