// graphql-codegen as its users set it up: TypeScript types of the schema, and of the operations of whoever asks.
export default {
  schema: "../../schema.graphql",
  documents: ["../../app/static/examples/*.graphql"],
  generates: {
    [process.env.GENERATED]: {
      plugins: ["typescript", "typescript-operations"],
      config: {
        strictScalars: true,
        // How our scalars travel in JSON (README, "Scalars"): money as text, sequence numbers as numbers.
        scalars: { Decimal: "string", BigInt: "number", DateTime: "string", Date: "string", CurrencyCode: "string" },
        useTypeImports: true,
      },
    },
  },
};
