// Lints schema.graphql, and the operations that we publish, with @graphql-eslint's sets. Prints a JSON list of what
// it says, one line each.
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import graphqlEslint from "@graphql-eslint/eslint-plugin";
import { ESLint } from "eslint";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const { configs } = graphqlEslint;

/** Types that are parts of others, and are never fetched by themselves. */
const VALUES = [
  "Actor",
  "Allocation",
  "AuditChange",
  "BucketBalance",
  "CashbackAwardLine",
  "CashbackBase",
  "CashbackCapOutcome",
  "CashbackCaps",
  "CashbackConditionCount",
  "CashbackConditionOutcome",
  "CashbackConditions",
  "CashbackDecisionCount",
  "CashbackEarning",
  "CashbackEvaluation",
  "CashbackExpiry",
  "CashbackLineFilter",
  "CashbackOffer",
  "CashbackOutlier",
  "CashbackPeriodCap",
  "CashbackPreview",
  "CashbackReward",
  "CashbackRuleOutcome",
  "CashbackRuleVersion",
  "CashbackSimulation",
  "CashbackSimulationMonth",
  "CashbackSimulationProgress",
  "CashbackStacking",
  "CashbackSummary",
  "CashbackTaken",
  "CashbackTrigger",
  "CashbackVesting",
  "CounterAccountTotal",
  "CouponCheck",
  "EmailPreview",
  "ExpiringDay",
  "ExpiringSoon",
  "ExpiringValue",
  "GiftCardBalance",
  "GiftCardEntry",
  "LedgerFault",
  "LedgerTotal",
  "LedgerVerification",
  "Money",
  "NotificationPreference",
  "OrderCoupon",
  "OrderLine",
  "OrderStatusMeaning",
  "OrderSubscription",
  "OutgoingWebhookAttempt",
  "PageInfo",
  "PayoutDetail",
  "PayoutDiscrepancy",
  "PayoutFile",
  "PayoutResult",
  "PromotionLines",
  "RefundLine",
  "Settings",
  "TopUpOptions",
  "UserError",
  "Viewer",
  "WalletUpdate",
  "WebhookEventDefinition",
  "WithdrawalAllowance",
  "WithdrawalLeftOut",
  "WithdrawalLimit",
  "WithdrawalResult",
  "WithdrawalStep",
  "WithdrawalTerms",
];

const schemaRules = {
  ...configs["flat/schema-recommended"].rules,
  ...configs["flat/schema-relay"].rules,
  "@graphql-eslint/require-description": [
    "error",
    { types: true, FieldDefinition: true, InputValueDefinition: true, EnumValueDefinition: true, rootField: true },
  ],
  // Values have no identity of their own; only what implements Node has an id (tests/test_schema.py sees to that).
  "@graphql-eslint/strict-id-in-types": [
    "error",
    {
      acceptedIdNames: ["id"],
      acceptedIdTypes: ["ID"],
      exceptions: { types: VALUES, suffixes: ["Connection", "Edge", "Payload"] },
    },
  ],
  // Lists of edges are edges (the rule's other parts); lists of plain values may be lists, and what a history or a list of
  // offers is made of has no identity of its own.
  "@graphql-eslint/relay-edge-types": [
    "error",
    { withEdgeSuffix: true, shouldImplementNode: false, listTypeCanWrapOnlyEdgeType: false },
  ],
  "@graphql-eslint/input-name": ["error", { checkInputType: true, caseSensitiveInputType: false, checkQueries: false }],
};

const operationRules = {
  ...configs["flat/operations-recommended"].rules,
};

function linting(files, rules) {
  return {
    files,
    plugins: { "@graphql-eslint": graphqlEslint },
    languageOptions: {
      parser: graphqlEslint.parser,
      parserOptions: {
        graphQLConfig: { schema: join(root, "schema.graphql"), documents: join(root, "app/static/examples/*.graphql") },
      },
    },
    rules,
  };
}

const eslint = new ESLint({
  cwd: root,
  overrideConfigFile: true,
  overrideConfig: [
    linting(["schema.graphql"], schemaRules),
    linting(["app/static/examples/*.graphql"], operationRules),
  ],
});
const results = await eslint.lintFiles(["schema.graphql", "app/static/examples/*.graphql"]);
const said = results.flatMap(({ filePath, messages }) =>
  messages.map(({ line, ruleId, message }) => `${relative(root, filePath)}:${line} ${ruleId}: ${message}`),
);
console.log(JSON.stringify({ files: results.length, rules: Object.keys(schemaRules), said }));
