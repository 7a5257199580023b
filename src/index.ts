export type {
  Allowance,
  Decision,
  Denial,
  DenialBody,
  Grant,
  Hop,
  Observation,
  Stage,
} from './decision.js'
export type {
  CheckOutcome,
  ExplainedCheck,
  ExplainedStage,
  Explanation,
} from './explain/explanation.js'
export type { CacheOptions } from './lib/cache.js'
export type { Json } from './lib/json.js'
export type { VerifierOptions } from './options.js'
export { checkedPolicy, checkedRules } from './policy/checked.js'
export { definePolicy } from './policy/define.js'
export { PolicyError, type PolicyIssue } from './policy/error.js'
export { policySchema } from './policy/json-schema.js'
export { loadPolicy } from './policy/load.js'
export type {
  AlgorithmName,
  ClaimConstraint,
  ContentConstraint,
  CostFunction,
  HandlerLimit,
  HandlerRule,
  IssuerPolicy,
  KeyOptions,
  Limit,
  LimitedRule,
  Policy,
  Profile,
  RouteRule,
} from './policy/policy.js'
export { type DenialCode, type DenialError, denials } from './protocol/denials.js'
export type { Cause } from './refusal.js'
export type { HeaderSource, MatchedRoute, PathRouting, Routing, VerifyRequest } from './request/request.js'
export { AjwtDenial } from './response/ajwt-denial.js'
export type { ResourceMetadata } from './response/resource-metadata.js'
export type { Authorize, AuthorizeAnswer, AuthorizeContext } from './rules/authorize.js'
export { type AuthzenOptions, type AuthzenRequest, authzen } from './rules/authzen.js'
export { type MemoryLimitStore, memoryLimitStore } from './stores/memory/limits.js'
export { type MemoryReplayStore, memoryReplayStore } from './stores/memory/replay.js'
export { type MemoryRevocations, memoryRevocations } from './stores/memory/revocations.js'
export type {
  CountedLimit,
  LimitCharge,
  LimitResult,
  LimitStore,
  LimitUse,
  ReplayStore,
  Revocations,
} from './stores/store.js'
export type { DenialLogger } from './telemetry/denial-log.js'
export type { DecisionFacts } from './telemetry/facts.js'
export type { IssuerReadiness, Readiness } from './token/trusted-issuers.js'
export {
  guardUpgrade,
  type UpgradeGuard,
  type UpgradeOptions,
  type UpgradeRequest,
  type UpgradeServer,
} from './upgrade/guard-upgrade.js'
export { createVerifier, type Verifier } from './verifier.js'
export { type WatchPolicyOptions, watchPolicy } from './watch/watch-policy.js'
