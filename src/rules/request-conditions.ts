import { hasMemberTwice } from '../jws/strict-json.js'
import { sharedInProcess } from '../lib/copies.js'
import { isPlainData } from '../lib/plain-data.js'
import type { ContentConstraintsData } from '../policy/content-schema.js'
import { describe, Refusal } from '../refusal.js'
import {
  announcesContent,
  isFormType,
  isJsonType,
  mediaTypeOf,
  type RequestContent,
} from '../request/content.js'
import { findParameter, readParameters } from '../request/query-parameters.js'
import type { TokenClaims } from '../token/claims.js'
import { type ContentCheck, compileContent, compileValue, contentCondition } from './content.js'
import { checkDigest } from './digest.js'
import type { RequestCheck } from './rule-input.js'

/** The conditions of a handler's rule on the request. */
export interface RequestConditions {
  readonly query?: ContentConstraintsData | undefined
  readonly digest?: boolean | { readonly type: string } | undefined
  readonly body?: ContentConstraintsData | undefined
}

type ContentOfRequestCheck = (content: RequestContent, token: TokenClaims) => Promise<Refusal | undefined>

const compiledChecks = sharedInProcess(
  'request checks',
  () => new WeakMap<RequestConditions, ContentOfRequestCheck>(),
)

/**
 * The check of a rule's conditions on this request. The adapters pass it to the engine, so that only bundles
 * with `requireIntent` or `checkIntent` have this code.
 */
export function requestCheckOf(rule: RequestConditions, content: RequestContent): RequestCheck {
  const check = compiledChecks.get(rule) ?? compileRequestConditions(rule)
  compiledChecks.set(rule, check)
  return (token) => check(content, token)
}

function compileRequestConditions({ query, digest, body }: RequestConditions): ContentOfRequestCheck {
  const checks: ContentOfRequestCheck[] = []
  if (query !== undefined) {
    const check = compileQuery(query)
    checks.push(async (content, token) => check(content.url, token.claims))
  }
  if (digest !== undefined && digest !== false) {
    const type = digest === true ? undefined : digest.type
    checks.push((content, token) => checkDigest(content, token.claims, type))
  }
  if (body !== undefined) {
    const check = compileContent('body', body)
    checks.push(async (content, token) => {
      const parsed = await readBody(content)
      if (parsed instanceof Refusal) return parsed
      return check(parsed, token.claims) ?? (await refuseTwice(content))
    })
  }
  return async (content, token) => {
    for (const check of checks) {
      const refusal = await check(content, token)
      if (refusal !== undefined) return refusal
    }
    return undefined
  }
}

function refuse(reason: string, expected: string, found: unknown, claim?: string): Refusal {
  const named = claim === undefined ? {} : { claim: describe(claim) }
  return new Refusal('argument_not_allowed', {
    reason,
    ...named,
    expected,
    found: describe(found),
    unverified: true,
  })
}

/** An object or array that a parser has made of the content. */
async function readBody(content: RequestContent): Promise<object | Refusal> {
  const body: unknown = await content.body()
  const type = mediaTypeOf(content)
  const typeText = type === '' ? 'no Content-Type' : type
  if (typeof body !== 'object' || body === null || !isPlainData(body)) {
    const isRead = body !== undefined && body !== null
    const reason = isRead
      ? 'the parsed body is no JSON object or array: use a parser for JSON or forms'
      : 'the request has no parsed body: mount a body parser for this Content-Type in front of requireIntent'
    return refuse(reason, 'a parsed body', isRead ? `a body of ${typeText}` : typeText)
  }
  // Express 4 and parsers for Koa leave an empty object where they have parsed nothing.
  const isEmpty = !Array.isArray(body) && Object.keys(body).length === 0
  if (isEmpty && !(announcesContent(content) && (isJsonType(type) || isFormType(type)))) {
    return refuse('the request has no content that the body parser reads', 'a parsed body', typeText)
  }
  return body
}

/** If the text is available: of two members with one name, another reader may take the first. */
async function refuseTwice(content: RequestContent): Promise<Refusal | undefined> {
  if (!isJsonType(mediaTypeOf(content))) return undefined
  const kept = await content.bytes()
  if (kept === undefined) return undefined
  const text = typeof kept === 'string' ? kept : new TextDecoder().decode(kept)
  if (!hasMemberTwice(text)) return undefined
  return refuse('an object in the body has a member twice', 'each member once', 'a member twice')
}

/** Compiles constraints by the names of query parameters. */
function compileQuery(constraints: ContentConstraintsData) {
  const checks = Object.entries(constraints).map(([name, constraint]) => ({
    name,
    check: compileValue(contentCondition('query', name), name, 'the query parameter', constraint),
  }))
  return (url: string, claims: Parameters<ContentCheck>[1]): Refusal | undefined => {
    const query = queryOf(url)
    const parameters = query === undefined ? undefined : readParameters(query)
    if (parameters === undefined) {
      return refuse('the query can be read in more than one way', 'an unambiguous query', 'another encoding')
    }
    for (const { name, check } of checks) {
      const found = findParameter(parameters, name)
      if (found === 'ambiguous') {
        const reason =
          'the query parameter comes twice, or in another spelling that a parser could take for it'
        return refuse(reason, 'one parameter of this name', 'several', name)
      }
      const refusal = found === 'missing' ? check(undefined, claims) : checkText(found.value, claims, check)
      if (refusal !== undefined) return refusal
    }
    return undefined
  }
}

/** A parameter is text. It is compared as text, and as the number whose decimal form it is. */
function checkText(
  value: string,
  claims: Parameters<ContentCheck>[1],
  check: ReturnType<typeof compileValue>,
): Refusal | undefined {
  const asText = check(value, claims)
  // At most 15 digits: a double holds each of these numbers.
  const isNumber = /^-?(0|[1-9]\d*)(\.\d+)?$/.test(value) && value.replace(/\D/g, '').length <= 15
  return asText !== undefined && isNumber ? check(Number(value), claims) && asText : asText
}

/**
 * The query of a request target. Undefined where routers disagree on its begin or its end: some take what is
 * behind a semicolon, or behind a number sign, for the query.
 */
function queryOf(url: string): string | undefined {
  const start = url.indexOf('?')
  const path = start < 0 ? url : url.slice(0, start)
  if (path.includes(';') || url.includes('#')) return undefined
  return start < 0 ? '' : url.slice(start + 1)
}
