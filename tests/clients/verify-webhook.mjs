// Verifies a message as a receiver does, with the library that Standard Webhooks publish; prints the payload.
// Given as JSON: { secret, headers, body }.
import { Webhook } from "standardwebhooks";

const { secret, headers, body } = JSON.parse(process.argv[2]);
console.log(JSON.stringify(new Webhook(secret).verify(body, headers)));
