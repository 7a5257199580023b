import type { JsonMembers } from '../lib/json.js'
import { isCanonicalPrefix, isCanonicalUri } from '../policy/resource-uri.js'
import { isMembers, jsonRpc, MalformedMessage, type McpMessage, memberOf, paramOf } from './message.js'
import { authenticated, type McpRule, type ParsedRules } from './rules.js'

/** The rules that a message must meet, in this order. */
export interface Target {
  readonly rules: readonly McpRule[]
  /** Of the called tool or prompt. */
  readonly arguments?: JsonMembers
  /** The error for a message whose tool, prompt, resource or method no rule names. */
  readonly unknown?: Unknown
}

export interface Unknown {
  /** The JSON-RPC error code. */
  readonly code: number
  /** The kind of the unknown name: `tool`, `prompt`, `resource` or `method`. */
  readonly what: string
  /** The name that the message has, unverified. */
  readonly found: unknown
}

/** Methods that a caller who has authenticated may use without a rule. */
const open: ReadonlySet<string> = new Set([
  'initialize',
  'ping',
  'server/discover',
  'tools/list',
  'prompts/list',
  'resources/list',
  'resources/templates/list',
])

const base: McpRule = { data: authenticated, listing: authenticated, place: 'mcp', target: undefined }

/** The target of a request without a message: `GET`, `DELETE`, or the response to a request of the server. */
export const noMessage: Target = { rules: [base] }

/** The rules for a message. Names are compared exactly. `isModern`: of revision 2026-07-28 or later. */
export function targetOf(
  rules: ParsedRules,
  message: McpMessage,
  isModern: boolean,
): Target | MalformedMessage {
  const target = findTarget(rules, message, isModern)
  if (target instanceof MalformedMessage) return target
  const own = rules.methods.get(message.method)
  const all = own === undefined ? target.rules : [own, ...target.rules]
  return { ...target, rules: all.length === 0 ? [base] : all }
}

function findTarget(rules: ParsedRules, message: McpMessage, isModern: boolean): Target | MalformedMessage {
  const { method, id } = message
  switch (method) {
    case 'tools/call':
      return withArguments(message, named(rules.tools, paramOf(message, 'name'), 'tool'))
    case 'prompts/get':
      return withArguments(message, promptTarget(rules, message, paramOf(message, 'name')))
    case 'resources/read':
      return resourceTarget(rules, message, paramOf(message, 'uri'))
    case 'resources/subscribe':
    case 'resources/unsubscribe': {
      const target = resourceTarget(rules, message, paramOf(message, 'uri'))
      // Revision 2026-07-28 has no such methods, and demands this answer.
      return isModern && target.unknown !== undefined ? unknownMethod(message) : target
    }
    case 'completion/complete':
      return completionTarget(rules, message)
    case 'subscriptions/listen':
      return subscriptionTarget(rules, message)
    default: {
      const isOpen = open.has(method) || (id === undefined && method.startsWith('notifications/'))
      return isOpen || rules.methods.has(method) ? { rules: [] } : unknownMethod(message)
    }
  }
}

function unknownMethod({ method }: McpMessage): Target {
  return { rules: [], unknown: { code: jsonRpc.methodNotFound, what: 'method', found: method } }
}

function unknown(what: string, found: unknown): Target {
  return { rules: [], unknown: { code: jsonRpc.invalidParams, what, found } }
}

function named(rules: ReadonlyMap<string, McpRule>, name: unknown, what: string): Target {
  const rule = typeof name === 'string' ? rules.get(name) : undefined
  return rule === undefined ? unknown(what, name) : { rules: [rule] }
}

/** Without `prompts`, only a rule of the method itself can allow it. */
function promptTarget({ prompts, methods }: ParsedRules, message: McpMessage, name: unknown): Target {
  if (prompts !== undefined) return named(prompts, name, 'prompt')
  return methods.has(message.method) ? { rules: [] } : unknownMethod(message)
}

function resourceTarget({ resources, methods }: ParsedRules, message: McpMessage, uri: unknown): Target {
  if (resources === undefined) return methods.has(message.method) ? { rules: [] } : unknownMethod(message)
  const rule = typeof uri === 'string' && isCanonicalUri(uri) ? findResource(resources, uri) : undefined
  return rule === undefined ? unknown('resource', uri) : { rules: [rule] }
}

function withArguments(message: McpMessage, target: Target): Target | MalformedMessage {
  const given = paramOf(message, 'arguments')
  if (given === undefined) return { ...target, arguments: {} }
  if (isMembers(given)) return { ...target, arguments: given }
  return new MalformedMessage('arguments is not an object', jsonRpc.invalidParams, message.id)
}

/** The rule with the longest key. A key without `*` also matches its URI with a query. */
function findResource(resources: ReadonlyMap<string, McpRule>, uri: string): McpRule | undefined {
  let found: McpRule | undefined
  let longest = -1
  for (const [key, rule] of resources) {
    const isPrefix = key.endsWith('*')
    const text = isPrefix ? key.slice(0, -1) : key
    const isMatch = uri === text || uri.startsWith(isPrefix ? text : `${text}?`)
    // A key without `*` is more specific than the same text with it.
    const length = isPrefix ? text.length : text.length + 0.5
    if (!isMatch || length <= longest) continue
    found = rule
    longest = length
  }
  return found
}

/** `completion/complete` reveals what a prompt or a resource protects, so it needs the same rights. */
function completionTarget(rules: ParsedRules, message: McpMessage): Target | MalformedMessage {
  const ref = paramOf(message, 'ref')
  const type = memberOf(ref, 'type')
  if (type === 'ref/prompt') {
    const asPrompt = { ...message, method: 'prompts/get' }
    const target = withOwnRule(rules, asPrompt, promptTarget(rules, asPrompt, memberOf(ref, 'name')))
    const given = completedArguments(message)
    return given === undefined
      ? malformedArgument(message)
      : { ...asParams(target, 'prompt', memberOf(ref, 'name')), arguments: given }
  }
  if (type !== 'ref/resource') return unknown('prompt or resource', type)
  const uri = memberOf(ref, 'uri')
  const asResource = { ...message, method: 'resources/read' }
  const target =
    typeof uri === 'string' && uri.includes('{') && rules.resources !== undefined
      ? templateTarget(rules.resources, uri)
      : resourceTarget(rules, asResource, uri)
  return asParams(withOwnRule(rules, asResource, target), 'resource', uri)
}

function withOwnRule({ methods }: ParsedRules, { method }: McpMessage, target: Target): Target {
  const own = methods.get(method)
  return own === undefined ? target : { ...target, rules: [own, ...target.rules] }
}

/** The method exists. The prompt or resource that it refers to does not. */
function asParams(target: Target, what: string, found: unknown): Target {
  return target.unknown === undefined
    ? target
    : { ...target, unknown: { code: jsonRpc.invalidParams, what, found } }
}

/**
 * A URI template (RFC 6570) stands for many resources: the rule for its literal beginning applies, and each
 * more specific one that an expansion could match.
 */
function templateTarget(resources: ReadonlyMap<string, McpRule>, template: string): Target {
  const literal = template.slice(0, template.indexOf('{'))
  const prefixes = new Map([...resources].filter(([key]) => key.endsWith('*')))
  const covering = isCanonicalPrefix(literal) ? findResource(prefixes, literal) : undefined
  if (covering === undefined) return unknown('resource', template)
  const narrower = [...resources].flatMap(([key, rule]) =>
    key.startsWith(literal) && rule !== covering ? rule : [],
  )
  return { rules: [covering, ...narrower] }
}

/** The arguments of a prompt as far as the caller has written them. */
function completedArguments(message: McpMessage): JsonMembers | undefined {
  const argument = paramOf(message, 'argument')
  const name = memberOf(argument, 'name')
  const value = memberOf(argument, 'value')
  const earlier = memberOf(paramOf(message, 'context'), 'arguments') ?? {}
  if (typeof name !== 'string' || typeof value !== 'string' || !isMembers(earlier)) return undefined
  // Written twice, and differently: it is not known which one the server reads.
  if ((memberOf(earlier, name) ?? value) !== value) return undefined
  return Object.fromEntries([...Object.entries(earlier), [name, value]])
}

function malformedArgument({ id }: McpMessage): MalformedMessage {
  return new MalformedMessage('argument is not { name, value }', jsonRpc.invalidParams, id)
}

/** `subscriptions/listen` subscribes to resources as `resources/subscribe` did before 2026-07-28. */
function subscriptionTarget(rules: ParsedRules, message: McpMessage): Target | MalformedMessage {
  if (!rules.methods.has(message.method)) return unknownMethod(message)
  const uris = memberOf(paramOf(message, 'notifications'), 'resourceSubscriptions') ?? []
  if (!Array.isArray(uris))
    return new MalformedMessage('resourceSubscriptions is not an array', jsonRpc.invalidParams, message.id)
  const asSubscribe = { ...message, method: 'resources/subscribe' }
  const targets = uris.map((uri) => withOwnRule(rules, asSubscribe, resourceTarget(rules, asSubscribe, uri)))
  const missing = targets.find((target) => target.unknown !== undefined)?.unknown
  const all = [...new Set(targets.flatMap((target) => target.rules))]
  return missing === undefined ? { rules: all } : { ...unknown('resource', missing.found), rules: all }
}
