import type { CompiledIssuer, IssuerDefaults } from '../policy/issuer.js'
import type { PolicyData } from '../policy/schema.js'
import type { DeclaredRoute } from '../routing/head.js'
import type { RuleContext } from '../rules/rule.js'

/** A policy as it is written, and what was compiled of it, for the checks that need both. */
export interface PolicyParts {
  readonly data: Partial<PolicyData>
  /** All keys of `routes`, including those with an invalid rule. */
  readonly routeKeys: readonly string[]
  /** In the order of the entries of `issuer`. */
  readonly issuers: readonly CompiledIssuer[]
  readonly issuerDefaults: IssuerDefaults
  readonly ruleContext: RuleContext
  readonly delegation: { readonly maxDepth: number }
  readonly declared: readonly DeclaredRoute[]
}
