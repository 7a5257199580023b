import * as z from 'zod/mini'
import { isUnambiguousUrl } from '../lib/url.js'
import { algorithmNames } from '../protocol/algorithms.js'
import { contentConstraints, queryConstraints } from './content-schema.js'
import { knownServers } from './known-servers.js'
import type { CostFunction } from './limit.js'
import { findRouteKeyProblem } from './route-key-problem.js'
import { hasKeys, json, nonEmpty, object, pointer, text, union } from './schema-parts.js'

// Checks the structure only. Conditions on several fields are checked when the policy is compiled.

const identifier = z
  .string()
  .check(z.regex(/^[\x20-\x7e]{1,256}$/, 'must be 1 to 256 printable ASCII characters'))
const hashedIdentifier = identifier.check(
  z.regex(/^[^|]*$/, 'must not contain "|", which joins ids in a hash'),
)

// An agent id, or `<issuer> <id>`. The parts are checked when the issuers are known.
const agentEntry = z
  .string()
  .check(z.regex(/^[^\p{Cc}\p{Cs}]{1,2048}$/u, 'must be an agent id without control characters'))
const chainEntry = agentEntry.check(
  z.regex(/^(\S+ )?[^|]*$/, 'must not contain "|", which joins ids in a hash'),
)
const scopeToken = z
  .string()
  .check(z.regex(/^[\x21\x23-\x5b\x5d-\x7e]+$/, { error: ({ input }) => explainScope(String(input)) }))
/** Becomes part of a quoted string in a challenge, in a list separated by spaces. */
const acrValue = z
  .string()
  .check(
    z.regex(/^[\x21\x23-\x5b\x5d-\x7e]+$/, 'must be printable ASCII without spaces, quotes and backslashes'),
  )

const algorithm = z.enum(algorithmNames)
const algorithmList = nonEmpty(algorithm, 'algorithm')

function oneOrSeveral<T extends z.ZodMiniType>(item: T, what: string) {
  return union([item, nonEmpty(item, what)], `a string (one ${what}), or an array of these`)
}

function seconds(least: number, most: number) {
  const range = `must be ${least} to ${most} seconds`
  return z.number().check(z.gte(least, range), z.lte(most, range))
}

function wholeNumber(least: number, most: number, unit = '') {
  const range = `must be a whole number, ${least} to ${most}${unit}`
  return z.int(range).check(z.gte(least, range), z.lte(most, range))
}

function explainScope(text: string): string {
  const scopes = text.split(/\s+/).filter((scope) => scope !== '')
  if (scopes.length < 2) return 'must be a scope token (RFC 6749 section 3.3)'
  return `contains a space: use an array, [${scopes.map((scope) => `'${scope}'`).join(', ')}]`
}

// Whether http is allowed for the host is checked when the policy is compiled.
const url = z
  .string()
  .check(
    z.refine(
      (text) => isUnambiguousUrl(text),
      'must be an https URL (http on loopback only) without credentials, query or fragment',
    ),
  )

const jwksUri = z
  .string()
  .check(
    z.refine(
      (text) => isUnambiguousUrl(text, { query: true }),
      'must be an https URL (http on loopback only)',
    ),
  )

const pointers = union([pointer, nonEmpty(pointer, 'JSON pointer')], 'a JSON pointer, or an array of these')

const constraintShape = {
  equals: z.optional(json),
  in: z.optional(nonEmpty(json, 'value')),
  min: z.optional(z.number()),
  max: z.optional(z.number()),
  exists: z.optional(z.boolean()),
  includes: z.optional(oneOrSeveral(text, 'element')),
}

/** Constraints on the members of one element of an array. */
const some = z
  .record(
    pointer,
    object({ ...constraintShape, param: z.optional(text) }).check(
      z.refine(hasKeys, 'must have at least one constraint'),
    ),
  )
  .check(z.refine(hasKeys, 'must have at least one pointer'))
/** Without `param`: the constraint applies to tokens, before the route is known. */
const tokenConstraint = object({ ...constraintShape, some: z.optional(some) }).check(
  z.refine(hasKeys, 'must have at least one constraint'),
)
const claimConstraint = object({ ...constraintShape, some: z.optional(some), param: z.optional(text) }).check(
  z.refine(hasKeys, 'must have at least one constraint'),
)

const tokenType = z
  .string()
  .check(
    z.regex(
      /^[A-Za-z0-9!#$&^_.+-]+(\/[A-Za-z0-9!#$&^_.+-]+)?$/,
      'must be a value of typ such as "at+jwt", or "none"',
    ),
  )

const fieldName = z
  .string()
  .check(z.regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/, 'must be the name of a request field'))
  .check(
    z.refine(
      (name) => !/^(authorization|dpop)$/i.test(name),
      'must be a field other than Authorization and DPoP',
    ),
  )

const issuer = object({
  url: z.optional(url),
  name: z.optional(
    z
      .string()
      .check(
        z.regex(/^[\x21-\x7e]{1,256}$/, 'must be 1 to 256 characters of printable ASCII without spaces'),
      ),
  ),
  like: z.optional(z.enum(Object.keys(knownServers))),
  audience: z.optional(oneOrSeveral(text, 'audience')),
  header: z.optional(fieldName),
  token: z.optional(
    object({
      types: z.optional(nonEmpty(tokenType, 'type')),
      algorithms: z.optional(algorithmList),
      maxLifetime: z.optional(seconds(1, 2_592_000)),
      clockTolerance: z.optional(seconds(0, 300)),
    }),
  ),
  read: z.optional(
    object({
      scope: z.optional(pointers),
      id: z.optional(
        union(
          [z.literal('hash'), pointer, nonEmpty(pointer, 'JSON pointer')],
          '"hash", a JSON pointer, or an array of these',
        ),
      ),
      agent: z.optional(pointer),
      audience: z.optional(pointers),
      subject: z.optional(pointers),
    }),
  ),
  claims: z.optional(z.record(pointer, tokenConstraint)),
  jwksUri: z.optional(jwksUri),
  jwks: z.optional(
    z.object({
      keys: z
        .array(z.record(z.string(), z.unknown()))
        .check(z.minLength(1, 'must have at least one key'), z.maxLength(100, 'must have at most 100 keys')),
    }),
  ),
  profile: z.optional(z.enum(['ajwt', 'oauth'])),
  keys: z.optional(
    object({
      maxAge: z.optional(seconds(1, 86_400)),
      cooldown: z.optional(seconds(1, 3600)),
      maxStale: z.optional(seconds(1, 604_800)),
      timeout: z.optional(seconds(0.05, 60)),
    }),
  ),
})

const issuerForms =
  'an issuer URL such as "https://as.example.com", or { url, jwksUri or jwks, profile, keys }'

/** The name of a limit is sent as a string in `RateLimit`. */
const limitName = z
  .string()
  .check(z.regex(/^[A-Za-z0-9._-]{1,64}$/, 'must be 1 to 64 letters, digits, dots, hyphens and underscores'))
const limitForms = '{ per, max, window, name, skipServerErrors }'
const amount = z
  .number()
  .check(z.gt(0, 'must be more than 0'), z.lte(900_000_000_000, 'must be at most 900,000,000,000'))

const limitShape = {
  per: z.enum(['token', 'agent', 'initiator', 'intent', 'run']),
  max: union([amount, pointer], 'a number, or the JSON pointer of a claim such as "/budget/max"'),
  window: z.optional(wholeNumber(1, 2_678_400, ' seconds')),
  name: z.optional(limitName),
  skipServerErrors: z.optional(z.boolean()),
}
const limit = object(limitShape, {
  cost: 'is for requireIntent and checkIntent: a request of a route counts 1',
})

const costFunction = z.custom<CostFunction>((value) => typeof value === 'function')
const handlerLimit = object({
  ...limitShape,
  cost: z.optional(
    union(
      [amount, pointer, costFunction],
      'a number, the JSON pointer of a claim, or a function of the request',
    ),
  ),
})

const ruleShape = {
  scope: z.optional(
    union(
      [scopeToken, nonEmpty(scopeToken, 'scope'), object({ any: nonEmpty(scopeToken, 'scope') })],
      'a string (one scope), or an array of these, or { any: [...] }',
    ),
  ),
  intent: z.optional(
    object({
      workflow: identifier,
      step: z.optional(oneOrSeveral(hashedIdentifier, 'step')),
    }),
  ),
  agents: z.optional(nonEmpty(agentEntry, 'agent')),
  delegation: z.optional(
    object({
      maxDepth: z.optional(wholeNumber(0, 32)),
      initiators: z.optional(nonEmpty(agentEntry, 'initiator')),
      chains: z.optional(
        nonEmpty(
          nonEmpty(chainEntry, 'agent').check(z.maxLength(33, 'must name at most 33 agents')),
          'chain',
        ),
      ),
      required: z.optional(z.boolean()),
    }),
  ),
  user: z.optional(
    object({
      sub: z.optional(nonEmpty(agentEntry, 'person')),
      acr: z.optional(nonEmpty(acrValue, 'acr value')),
      amr: z.optional(nonEmpty(text, 'amr value')),
      // Sent as max_age, which is a whole number (RFC 9470 section 3).
      maxAge: z.optional(wholeNumber(0, 31_536_000, ' seconds')),
    }).check(z.refine((user) => Object.keys(user).length > 0, 'must have at least one condition')),
  ),
  claims: z.optional(z.record(pointer, claimConstraint)),
  authorize: z.optional(z.boolean()),
  limit: z.optional(union([limit, nonEmpty(limit, 'limit')], `${limitForms}, or an array of these`)),
  once: z.optional(z.boolean()),
  anonymous: z.optional(union([z.boolean(), z.literal('foreign')], 'true, false or "foreign"')),
  mode: z.optional(z.enum(['observe', 'enforce'])),
}

const atHandler = 'is for requireIntent and checkIntent: a policy is applied before the content is read'
const withTool = 'is for the tools of an MCP server: write it in the rules of requireToolIntent'

export const ruleSchema = object(ruleShape, {
  body: atHandler,
  query: atHandler,
  digest: atHandler,
  arguments: withTool,
})

/** Members that a rule of a handler may have, and a policy may not, because it is plain data. */
export const limitedRuleShape = {
  ...ruleShape,
  limit: z.optional(
    union(
      [handlerLimit, nonEmpty(handlerLimit, 'limit')],
      '{ per, max, window, name, skipServerErrors, cost }, or an array of these',
    ),
  ),
}

export const limitedRuleSchema = object(limitedRuleShape)

/** A rule of `requireIntent`, `checkIntent` or `check`. */
export const handlerRuleSchema = object(
  {
    ...limitedRuleShape,
    query: z.optional(queryConstraints),
    digest: z.optional(
      union([z.boolean(), object({ type: text })], 'true, or { type } of authorization_details'),
    ),
    body: z.optional(contentConstraints),
  },
  { arguments: withTool },
)

/** By the name that the module of `ajwt check --emit` exports them under. */
export const handlerRulesSchema = z.record(z.string(), handlerRuleSchema)

const routeKey = z.string().check(
  z.superRefine((key, context) => {
    const message = findRouteKeyProblem(key)
    if (message !== undefined) context.addIssue({ code: 'custom', message })
  }),
)

export const schema = object({
  $schema: z.optional(z.string()),
  issuer: union(
    [url, issuer, nonEmpty(union([url, issuer], issuerForms), 'issuer')],
    `${issuerForms}, or an array of these`,
  ),
  audience: oneOrSeveral(text, 'audience'),
  publicUrl: z.optional(oneOrSeveral(url, 'URL')),
  allowInsecureHttp: z.optional(
    union([z.boolean(), nonEmpty(text, 'host name')], 'true, false, or an array of hosts'),
  ),
  mode: z.optional(z.enum(['enforce', 'observe'])),
  scopes: z.optional(z.record(scopeToken, oneOrSeveral(scopeToken, 'scope'))),
  metadata: z.optional(
    object({
      scopes: z.optional(z.array(scopeToken)),
      intents: z.optional(z.boolean()),
    }),
  ),
  preflight: z.optional(z.boolean()),
  unmatched: z.optional(z.enum(['deny', 'authenticate', 'public'])),
  token: z.optional(
    object({
      types: z.optional(nonEmpty(z.enum(['at+jwt', 'JWT']), 'type')),
      algorithms: z.optional(algorithmList),
      maxLifetime: z.optional(seconds(1, 86_400)),
      clockTolerance: z.optional(seconds(0, 300)),
    }),
  ),
  proof: z.optional(
    object({
      required: z.optional(z.boolean()),
      algorithms: z.optional(algorithmList),
      maxAge: z.optional(seconds(1, 3600)),
      nonce: z.optional(z.enum(['off', 'required'])),
    }),
  ),
  delegation: z.optional(
    object({
      maxDepth: z.optional(wholeNumber(0, 32)),
      signed: z.optional(z.enum(['required', 'optional'])),
    }),
  ),
  workflows: z.optional(
    z.record(
      identifier,
      object({
        steps: nonEmpty(
          union(
            [hashedIdentifier, object({ id: hashedIdentifier, optional: z.optional(z.boolean()) })],
            'a step id, or { id, optional: true }',
          ),
          'step',
        ),
      }),
    ),
  ),
  agents: z.optional(
    z.record(
      agentEntry,
      object({
        checksums: z.optional(nonEmpty(text, 'checksum')),
        registrationIds: z.optional(nonEmpty(identifier, 'registration id')),
      }).check(z.refine((agent) => Object.keys(agent).length > 0, 'must name checksums or registrationIds')),
    ),
  ),
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

/** One entry of `issuer`, as `resolveIssuer` returns it. */
export const issuerSchema = issuer
