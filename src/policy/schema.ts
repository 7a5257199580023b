import * as z from 'zod'
import { isUnambiguousUrl } from '../lib/url.js'
import { algorithmNames } from '../protocol/algorithms.js'
import { knownServers } from './known-servers.js'
import type { CostFunction } from './limit.js'
import { parseRouteKey } from './route-key.js'

// Checks the structure only. Conditions on several fields are checked when the policy is compiled. The
// message of a union completes "must be"; the message for unknown keys is the list of known keys.

const identifier = z.string().regex(/^[\x20-\x7e]{1,256}$/, 'must be 1 to 256 printable ASCII characters')
const hashedIdentifier = identifier.regex(/^[^|]*$/, 'must not contain "|", which joins ids in a hash')

// An agent id, or `<issuer> <id>`. The parts are checked when the issuers are known.
const agentEntry = z
  .string()
  .regex(/^[^\p{Cc}\p{Cs}]{1,2048}$/u, 'must be an agent id without control characters')
const chainEntry = agentEntry.regex(/^(\S+ )?[^|]*$/, 'must not contain "|", which joins ids in a hash')
const scopeToken = z
  .string()
  .regex(/^[\x21\x23-\x5b\x5d-\x7e]+$/, { error: ({ input }) => explainScope(String(input)) })
/** Becomes part of a quoted string in a challenge, in a list separated by spaces. */
const acrValue = z
  .string()
  .regex(/^[\x21\x23-\x5b\x5d-\x7e]+$/, 'must be printable ASCII without spaces, quotes and backslashes')

const text = z.string().min(1, 'must not be empty')

const algorithm = z.enum(algorithmNames)
const algorithmList = nonEmpty(algorithm, 'algorithm')

function nonEmpty<T extends z.ZodType>(item: T, what: string) {
  return z.array(item).min(1, `must name at least one ${what}`)
}

function oneOrSeveral<T extends z.ZodType>(item: T, what: string) {
  return union([item, nonEmpty(item, what)], `a string (one ${what}), or an array of these`)
}

function union<const T extends readonly z.ZodType[]>(branches: T, forms: string) {
  return z.union(branches, { error: forms })
}

/** Refuses unknown keys: a misspelt condition would never be checked. */
function object<T extends z.ZodRawShape>(shape: T) {
  const names = Object.keys(shape).join(' ')
  return z.strictObject(shape, {
    error: ({ code }) => (code === 'unrecognized_keys' ? names : undefined),
  })
}

function seconds(least: number, most: number) {
  const range = `must be ${least} to ${most} seconds`
  return z.number().min(least, range).max(most, range)
}

function wholeNumber(least: number, most: number, unit = '') {
  const range = `must be a whole number, ${least} to ${most}${unit}`
  return z.int(range).min(least, range).max(most, range)
}

function explainScope(text: string): string {
  const scopes = text.split(/\s+/).filter((scope) => scope !== '')
  if (scopes.length < 2) return 'must be a scope token (RFC 6749 section 3.3)'
  return `contains a space: use an array, [${scopes.map((scope) => `'${scope}'`).join(', ')}]`
}

// Whether http is allowed for the host is checked when the policy is compiled.
const url = z
  .string()
  .refine(
    (text) => isUnambiguousUrl(text),
    'must be an https URL (http on loopback only) without credentials, query or fragment',
  )

const jwksUri = z
  .string()
  .refine((text) => isUnambiguousUrl(text, { query: true }), 'must be an https URL (http on loopback only)')

const pointer = z
  .string()
  .regex(/^(\/([^~/]|~0|~1)*)+$/, 'must be a JSON pointer (RFC 6901), such as /amount')
const pointers = union([pointer, nonEmpty(pointer, 'JSON pointer')], 'a JSON pointer, or an array of these')

const json = z.json()

const constraintShape = {
  equals: json.optional(),
  in: nonEmpty(json, 'value').optional(),
  min: z.number().optional(),
  max: z.number().optional(),
  exists: z.boolean().optional(),
  includes: oneOrSeveral(text, 'element').optional(),
}
const hasKeys = (constraint: object) => Object.keys(constraint).length > 0

/** Constraints on the members of one element of an array. */
const some = z
  .record(
    pointer,
    object({ ...constraintShape, param: text.optional() }).refine(
      hasKeys,
      'must have at least one constraint',
    ),
  )
  .refine(hasKeys, 'must have at least one pointer')
/** Without `param`: the constraint applies to tokens, before the route is known. */
const tokenConstraint = object({ ...constraintShape, some: some.optional() }).refine(
  hasKeys,
  'must have at least one constraint',
)
const claimConstraint = object({ ...constraintShape, some: some.optional(), param: text.optional() }).refine(
  hasKeys,
  'must have at least one constraint',
)

const tokenType = z
  .string()
  .regex(
    /^[A-Za-z0-9!#$&^_.+-]+(\/[A-Za-z0-9!#$&^_.+-]+)?$/,
    'must be a value of typ such as "at+jwt", or "none"',
  )

const fieldName = z
  .string()
  .regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/, 'must be the name of a request field')
  .refine(
    (name) => !/^(authorization|dpop)$/i.test(name),
    'must be a field other than Authorization and DPoP',
  )

const issuer = object({
  url: url.optional(),
  name: z
    .string()
    .regex(/^[\x21-\x7e]{1,256}$/, 'must be 1 to 256 characters of printable ASCII without spaces')
    .optional(),
  like: z.enum(Object.keys(knownServers)).optional(),
  audience: oneOrSeveral(text, 'audience').optional(),
  header: fieldName.optional(),
  token: object({
    types: nonEmpty(tokenType, 'type').optional(),
    algorithms: algorithmList.optional(),
    maxLifetime: seconds(1, 2_592_000).optional(),
    clockTolerance: seconds(0, 300).optional(),
  }).optional(),
  read: object({
    scope: pointers.optional(),
    id: union(
      [z.literal('hash'), pointer, nonEmpty(pointer, 'JSON pointer')],
      '"hash", a JSON pointer, or an array of these',
    ).optional(),
    agent: pointer.optional(),
    audience: pointers.optional(),
    subject: pointers.optional(),
  }).optional(),
  claims: z.record(pointer, tokenConstraint).optional(),
  jwksUri: jwksUri.optional(),
  jwks: z
    .object({
      keys: z
        .array(z.record(z.string(), z.unknown()))
        .min(1, 'must have at least one key')
        .max(100, 'must have at most 100 keys'),
    })
    .optional(),
  profile: z.enum(['ajwt', 'oauth']).optional(),
  keys: object({
    maxAge: seconds(1, 86_400).optional(),
    cooldown: seconds(1, 3600).optional(),
    maxStale: seconds(1, 604_800).optional(),
    timeout: seconds(0.05, 60).optional(),
  }).optional(),
})

const issuerForms =
  'an issuer URL such as "https://as.example.com", or { url, jwksUri or jwks, profile, keys }'

/** The name of a limit is sent as a string in `RateLimit`. */
const limitName = z
  .string()
  .regex(/^[A-Za-z0-9._-]{1,64}$/, 'must be 1 to 64 letters, digits, dots, hyphens and underscores')
const limitForms = '{ per, max, window, name, skipServerErrors }'
const amount = z.number().gt(0, 'must be more than 0').max(900_000_000_000, 'must be at most 900,000,000,000')

const limitShape = {
  per: z.enum(['token', 'agent', 'initiator', 'intent', 'run']),
  max: union([amount, pointer], 'a number, or the JSON pointer of a claim such as "/budget/max"'),
  window: wholeNumber(1, 2_678_400, ' seconds').optional(),
  name: limitName.optional(),
  skipServerErrors: z.boolean().optional(),
}
const limit = object(limitShape)

const costFunction = z.custom<CostFunction>((value) => typeof value === 'function')
const handlerLimit = object({
  ...limitShape,
  cost: union(
    [amount, pointer, costFunction],
    'a number, the JSON pointer of a claim, or a function of the request',
  ).optional(),
})

const ruleShape = {
  scope: union(
    [scopeToken, nonEmpty(scopeToken, 'scope'), object({ any: nonEmpty(scopeToken, 'scope') })],
    'a string (one scope), or an array of these, or { any: [...] }',
  ).optional(),
  intent: object({
    workflow: identifier,
    step: oneOrSeveral(hashedIdentifier, 'step').optional(),
  }).optional(),
  agents: nonEmpty(agentEntry, 'agent').optional(),
  delegation: object({
    maxDepth: wholeNumber(0, 32).optional(),
    initiators: nonEmpty(agentEntry, 'initiator').optional(),
    chains: nonEmpty(
      nonEmpty(chainEntry, 'agent').max(33, 'must name at most 33 agents'),
      'chain',
    ).optional(),
    required: z.boolean().optional(),
  }).optional(),
  user: object({
    sub: nonEmpty(agentEntry, 'person').optional(),
    acr: nonEmpty(acrValue, 'acr value').optional(),
    amr: nonEmpty(text, 'amr value').optional(),
    // Sent as max_age, which is a whole number (RFC 9470 section 3).
    maxAge: wholeNumber(0, 31_536_000, ' seconds').optional(),
  })
    .refine((user) => Object.keys(user).length > 0, 'must have at least one condition')
    .optional(),
  claims: z.record(pointer, claimConstraint).optional(),
  authorize: z.boolean().optional(),
  limit: union([limit, nonEmpty(limit, 'limit')], `${limitForms}, or an array of these`).optional(),
  once: z.boolean().optional(),
  anonymous: union([z.boolean(), z.literal('foreign')], 'true, false or "foreign"').optional(),
  mode: z.enum(['observe', 'enforce']).optional(),
}

export const ruleSchema = object(ruleShape)

/**
 * A rule of `requireIntent`, `checkIntent` or `check`: what a policy, which is plain data, cannot have as
 * well.
 */
export const handlerRuleSchema = object({
  ...ruleShape,
  limit: union(
    [handlerLimit, nonEmpty(handlerLimit, 'limit')],
    '{ per, max, window, name, skipServerErrors, cost }, or an array of these',
  ).optional(),
})

const routeKey = z.string().superRefine((key, context) => {
  const parsed = parseRouteKey(key)
  if (typeof parsed === 'string') context.addIssue({ code: 'custom', message: parsed })
})

export const schema = object({
  $schema: z.string().optional(),
  issuer: union(
    [url, issuer, nonEmpty(union([url, issuer], issuerForms), 'issuer')],
    `${issuerForms}, or an array of these`,
  ),
  audience: oneOrSeveral(text, 'audience'),
  publicUrl: oneOrSeveral(url, 'URL').optional(),
  allowInsecureHttp: union(
    [z.boolean(), nonEmpty(text, 'host name')],
    'true, false, or an array of hosts',
  ).optional(),
  mode: z.enum(['enforce', 'observe']).optional(),
  preflight: z.boolean().optional(),
  unmatched: z.enum(['deny', 'authenticate', 'public']).optional(),
  token: object({
    types: nonEmpty(z.enum(['at+jwt', 'JWT']), 'type').optional(),
    algorithms: algorithmList.optional(),
    maxLifetime: seconds(1, 86_400).optional(),
    clockTolerance: seconds(0, 300).optional(),
  }).optional(),
  proof: object({
    required: z.boolean().optional(),
    algorithms: algorithmList.optional(),
    maxAge: seconds(1, 3600).optional(),
    nonce: z.enum(['off', 'required']).optional(),
  }).optional(),
  delegation: object({
    maxDepth: wholeNumber(0, 32).optional(),
    signed: z.enum(['required', 'optional']).optional(),
  }).optional(),
  workflows: z
    .record(
      identifier,
      object({
        steps: nonEmpty(
          union(
            [hashedIdentifier, object({ id: hashedIdentifier, optional: z.boolean().optional() })],
            'a step id, or { id, optional: true }',
          ),
          'step',
        ),
      }),
    )
    .optional(),
  agents: z
    .record(
      agentEntry,
      object({
        checksums: nonEmpty(text, 'checksum').optional(),
        registrationIds: nonEmpty(identifier, 'registration id').optional(),
      }).refine((agent) => Object.keys(agent).length > 0, 'must name checksums or registrationIds'),
    )
    .optional(),
  routes: z.record(
    routeKey,
    union(
      [z.literal('public'), z.literal('authenticated'), ruleSchema],
      '"public", "authenticated", or a rule such as { scope: "orders:read" }',
    ),
  ),
})

export type PolicyData = z.infer<typeof schema>
export type RuleData = z.infer<typeof handlerRuleSchema>
export type IssuerData = z.infer<typeof issuer>
export type ConstraintData = z.infer<typeof claimConstraint>

/** One entry of `issuer`, as `resolveIssuer` returns it. */
export const issuerSchema = issuer
