import fc from 'fast-check'
import { plainSetup, type RouterSettings, type Setup } from './apps.js'
import type { DeclaredRoute } from './reference.js'
import { honestValues, plainPath, routeLists, type Spelling, spell, spellingLists } from './spellings.js'
import type { RawRequest } from './wire.js'

const settings: fc.Arbitrary<RouterSettings> = fc.record({
  caseSensitive: fc.boolean(),
  strict: fc.boolean(),
})

const setups: fc.Arbitrary<Setup> = fc.oneof(
  { weight: 2, arbitrary: fc.constant(plainSetup) },
  {
    weight: 3,
    arbitrary: fc.record<Setup>({
      app: settings,
      router: fc.option(settings, { nil: undefined }),
      override: fc.constantFrom('none', 'before', 'after'),
    }),
  },
)

const methods = fc.constantFrom(
  ...[
    'GET',
    'HEAD',
    'POST',
    'PUT',
    'PATCH',
    'DELETE',
    'OPTIONS',
    'PURGE',
    'REPORT',
    'QUERY',
    'TRACE',
    'M-SEARCH',
  ],
  ...['get', 'FOO'],
)

const preflightFields = [
  ['origin', 'https://page.example.com'],
  ['access-control-request-method', 'POST'],
] as const

// Without HEAD: if an app changes the method to HEAD, the response lacks the body that it announces.
const overridden = methods.filter((method) => method !== 'HEAD')

const fields = fc.oneof(
  { weight: 6, arbitrary: fc.constant([]) },
  { weight: 1, arbitrary: fc.constant(preflightFields) },
  {
    weight: 1,
    arbitrary: overridden.map((method) => [...preflightFields, ['x-http-method-override', method]] as const),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(
        fc.constantFrom('x-http-method-override', 'X-HTTP-Method', 'x-method-override'),
        fc.oneof(overridden, fc.constantFrom('delete', 'DELETE, GET', '', ' GET')),
      )
      .map((field) => [field]),
  },
)

const queries = fc.oneof(
  { weight: 8, arbitrary: fc.constant('') },
  { weight: 1, arbitrary: overridden.map((method) => `?_method=${method}`) },
  {
    weight: 1,
    arbitrary: overridden.map(
      (method) => `?x&_%6dethod=%${method.charCodeAt(0).toString(16)}${method.slice(1)}`,
    ),
  },
)

const requests = fc.record({
  route: fc.nat({ max: 7 }),
  values: fc.array(fc.constantFrom(...honestValues, 'a', 'b', 'admin', '%41'), {
    minLength: 3,
    maxLength: 3,
  }),
  ownMethod: fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: methods }),
  methodIndex: fc.nat({ max: 2 }),
  spellings: spellingLists as fc.Arbitrary<readonly Spelling[]>,
  query: queries,
  fields: fields as fc.Arbitrary<RawRequest['headers']>,
})

export type RequestDraft = typeof requests extends fc.Arbitrary<infer T> ? T : never

export function toRequest(draft: RequestDraft, routes: readonly DeclaredRoute[]): RawRequest {
  const route = routes[draft.route % routes.length] as DeclaredRoute
  const named = route.methods[draft.methodIndex % route.methods.length] as string
  return {
    method: draft.ownMethod ?? (named === '*' ? 'PUT' : named),
    target: spell(plainPath(route, draft.values), draft.spellings) + draft.query,
    headers: draft.fields,
  }
}

export const requestLists = fc.array(requests, { minLength: 10, maxLength: 14, size: 'max' })

/** A policy, an app for it, and requests that try to bypass the policy. */
export const scenarios = fc.record({
  routes: routeLists,
  setup: setups,
  unmatched: fc.constantFrom('deny' as const, 'authenticate' as const, 'public' as const),
  preflight: fc.boolean(),
  requests: requestLists,
})
