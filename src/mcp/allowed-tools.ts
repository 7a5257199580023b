import type { Grant } from '../decision.js'
import { requestWithGrant } from '../engine.js'
import type { McpRule, McpRules } from './rules.js'
import { rulesOf } from './rules.js'

/**
 * The names of the tools that a caller may use, for the list that an MCP server answers: every rule that
 * `tools/call` would apply is met. A condition on arguments counts as met. Asks no hook, and counts in no
 * limit. Throws a TypeError for a copy of a grant, and a PolicyError if the rules are invalid.
 */
export function allowedTools(rules: McpRules, grant: Grant): string[] {
  const { tools, methods } = rulesOf(rules)
  return namesOf(tools, methods.get('tools/call'), grant)
}

function namesOf(rules: ReadonlyMap<string, McpRule>, own: McpRule | undefined, grant: Grant): string[] {
  const known = requestWithGrant(grant)
  if (known?.authorized === undefined) {
    throw new TypeError('allowedTools: no verifier made this grant. Pass req.ajwt itself, not a copy')
  }
  const { engine, authorized, method } = known
  const isMet = ({ listing, place }: McpRule) =>
    engine.meets(authorized, {
      data: listing,
      params: authorized.access.params,
      method,
      isPermanent: false,
      isOncePerRequest: false,
      request: undefined,
      place,
    })
  if (own !== undefined && !isMet(own)) return []
  return [...rules].flatMap(([name, rule]) => (isMet(rule) ? name : []))
}
