import fc from 'fast-check'
import { type DeclaredRoute, declare, type RouteAccess } from './reference.js'
import { withoutWeakerHead } from './tokens.js'

// Few names, so that random routes overlap. Also names in upper case, names of Object.prototype, and
// characters that have a meaning in some routers.
const literals = [
  'a',
  'b',
  'Admin',
  'v1',
  'x.y',
  '.well-known',
  '__proto__',
  'constructor',
  'k;s=1',
  'A~@,&=',
]

type Kind = Exclude<RouteAccess, object> | 'scope'

const accesses: fc.Arbitrary<Kind> = fc.oneof(
  { weight: 4, arbitrary: fc.constant('scope' as const) },
  { weight: 2, arbitrary: fc.constant('public' as const) },
  { weight: 1, arbitrary: fc.constant('authenticated' as const) },
)

const methodLists = fc.oneof(
  { weight: 4, arbitrary: fc.constant(['GET']) },
  { weight: 2, arbitrary: fc.constant(['*']) },
  {
    weight: 3,
    arbitrary: fc.subarray(['GET', 'HEAD', 'POST', 'DELETE', 'OPTIONS', 'REPORT'], {
      minLength: 1,
      maxLength: 3,
    }),
  },
)

const segments = fc
  .tuple(
    fc.array(
      fc.oneof(
        { weight: 4, arbitrary: fc.constantFrom(...literals.slice(0, 3)) },
        { weight: 1, arbitrary: fc.constantFrom(...literals) },
        { weight: 2, arbitrary: fc.constant(':') },
      ),
      { maxLength: 3 },
    ),
    fc.integer({ min: 0, max: 3 }),
  )
  .map(([texts, rest]) => [
    ...texts.map((text, index) => (text === ':' ? `:p${index}` : text)),
    ...(rest === 0 ? ['*'] : []),
  ])

/**
 * A less specific pattern for the same requests: with a parameter instead of one segment, or with a final
 * `*`.
 */
const rivals = fc.option(fc.record({ at: fc.nat({ max: 3 }), isRest: fc.boolean(), access: accesses }), {
  nil: undefined,
  freq: 2,
})

function generalize(texts: readonly string[], at: number, isRest: boolean): string[] {
  const place = at % (texts.includes('*') ? texts.length : texts.length + 1)
  if (isRest || texts[place] === '*') return [...texts.slice(0, place), '*']
  return texts.map((text, index) => (index === place ? `:p${index}` : text))
}

const drafts = fc.record({
  methods: methodLists,
  texts: segments,
  access: accesses,
  slash: fc.integer({ min: 0, max: 9 }),
  rival: rivals,
})

/** Routes of different shapes. Each route that requires a scope requires a different one. */
export const routeLists: fc.Arbitrary<readonly DeclaredRoute[]> = fc
  .array(drafts, { minLength: 1, maxLength: 5 })
  .map((list) => {
    const taken = new Set<string>()
    const routes: DeclaredRoute[] = []
    function add(methods: readonly string[], texts: readonly string[], kind: Kind, hasSlash: boolean): void {
      const shape = texts.map((text) => (text.startsWith(':') ? ':' : text.toLowerCase())).join('/')
      const free = methods.filter((method) => !taken.has(`${method} ${shape}`))
      if (free.length === 0) return
      for (const method of free) taken.add(`${method} ${shape}`)
      const access: RouteAccess = kind === 'scope' ? { scope: `r${routes.length}` } : kind
      routes.push(declare(free, texts, access, hasSlash))
    }
    for (const { methods, texts, access, slash, rival } of list) {
      add(methods, texts, access, slash === 0)
      if (rival !== undefined) add(methods, generalize(texts, rival.at, rival.isRest), rival.access, false)
    }
    return withoutWeakerHead(routes)
  })

/** Values of a parameter, or of one segment of a `*`, in an honest request. */
export const honestValues = ['x1', 'a%20b', 'caf%C3%A9', 'x%2Fy', '42', 'a+b', '%C2%A0', 'a:b', 'x%25y']

/** The path of a request to this route, in the spelling of the policy. */
export function plainPath(route: DeclaredRoute, values: readonly string[]): string {
  const texts = route.segments.map((segment, index) =>
    segment === '*' || segment.startsWith(':') ? (values[index % values.length] as string) : segment,
  )
  return `/${texts.join('/')}${route.hasTrailingSlash ? '/' : ''}`
}

/** Spells a path differently. `at` selects the position. */
type Respelling = (path: string, at: number) => string

function hex(char: string, isUpper = true): string {
  const code = char.charCodeAt(0).toString(16).padStart(2, '0')
  return `%${isUpper ? code.toUpperCase() : code}`
}

function replaceOne(path: string, pattern: RegExp, at: number, by: (text: string) => string): string {
  const hits = [...path.matchAll(pattern)]
  const hit = hits[at % Math.max(hits.length, 1)]
  if (hit === undefined) return path
  return path.slice(0, hit.index) + by(hit[0]) + path.slice(hit.index + hit[0].length)
}

const insert =
  (text: string): Respelling =>
  (path, at) => {
    const place = 1 + (at % path.length)
    return path.slice(0, place) + text + path.slice(place)
  }

const atSlash =
  (text: string): Respelling =>
  (path, at) =>
    replaceOne(path, /\//g, at, () => text)

const endSegment =
  (text: string): Respelling =>
  (path, at) =>
    replaceOne(path, /[^/]+/g, at, (segment) => segment + text)

const swapCase = (letter: string) =>
  letter === letter.toLowerCase() ? letter.toUpperCase() : letter.toLowerCase()

const respellings: Readonly<Record<string, Respelling>> = {
  letterCase: (path, at) => replaceOne(path, /[a-z]/gi, at, swapCase),
  otherCase: (path) => path.replace(/[a-z]/gi, swapCase),
  lastSlash: (path) => (path.endsWith('/') ? path.slice(0, -1) || path : `${path}/`),
  doubleSlash: atSlash('//'),
  doubleLastSlash: (path) => `${path}//`,
  leadingSlashes: (path) => `/${path}`,
  encodedLetter: (path, at) => replaceOne(path, /(?<!%.?)[^/%]/g, at, (char) => hex(char, at % 2 === 0)),
  encodedSwappedLetter: (path, at) => replaceOne(path, /[a-z]/gi, at, (char) => hex(swapCase(char))),
  encodedSlash: atSlash('%2F'),
  encodedBackslash: atSlash('%5c'),
  doublyEncodedLetter: (path, at) => replaceOne(path, /[^/%]/g, at, (char) => `%25${hex(char).slice(1)}`),
  doublyEncodedSlash: atSlash('%252f'),
  decoded: (path) =>
    path.replace(/%[0-9a-f]{2}/gi, (code) => String.fromCharCode(Number.parseInt(code.slice(1), 16))),
  dotSegment: atSlash('/./'),
  lastDotSegment: (path) => `${path}/.`,
  upSegment: atSlash('/up/../'),
  lastUpSegment: (path) => `${path}/up/..`,
  upAndAway: (path) => `/../..${path}`,
  encodedDotSegment: atSlash('/%2e/'),
  encodedUpSegment: atSlash('/up/%2E%2e/'),
  encodedUpInSegment: atSlash('/up%2f..%2F'),
  encodedDot: (path, at) => replaceOne(path, /\./g, at, () => '%2e'),
  backslash: atSlash('\\'),
  backslashes: (path) => path.replaceAll('/', '\\').replace('\\', '/'),
  matrix: endSegment(';a=b'),
  emptyMatrix: endSegment(';'),
  upMatrix: atSlash('/..;/'),
  lastDot: endSegment('.'),
  encodedBlank: endSegment('%20'),
  encodedTab: insert('%09'),
  encodedNul: endSegment('%00'),
  encodedLineEnd: endSegment('%0d%0aX'),
  encodedHash: endSegment('%23'),
  encodedQuestion: endSegment('%3F'),
  hash: insert('#'),
  lastHash: (path) => `${path}#/x`,
  query: (path) => `${path}?x=/a/../b`,
  emptyQuery: (path) => `${path}?`,
  queryWithin: insert('?'),
  eAcute: endSegment('\xe9'),
  utf8: endSegment('\xc3\xa9'),
  noBreakSpace: insert('\xa0'),
  byteOrderMark: insert('\xef\xbb\xbf'),
  encodedKelvin: (path, at) => replaceOne(path, /k/gi, at, () => '%E2%84%AA'),
  kelvin: (path, at) => replaceOne(path, /k/gi, at, () => '\xe2\x84\xaa'),
  longS: (path, at) => replaceOne(path, /s/gi, at, () => '%C5%BF'),
  malformed: endSegment('%ff'),
  truncated: endSegment('%E0%A4%A'),
  barePercent: insert('%'),
  overlongSlash: atSlash('%c0%af'),
  unicodeEscape: insert('%u0061'),
  star: endSegment('*'),
  braces: insert('{}|^`"<>'),
  absolute: (path) => `http://other.example.com${path}`,
  absoluteWithUser: (path) => `HTTP://app.example.com@other.example.com:80${path}`,
  absoluteSecure: (path) => `https://app.example.com${path}`,
  absoluteOther: (path) => `foo://a/..${path}`,
  absoluteBackslash: (path) => `http://other.example.com\\${path}`,
  absoluteWithoutPath: () => 'http://app.example.com',
  schemeOnly: (path) => `javascript:${path}`,
  relative: (path) => path.slice(1),
  asterisk: () => '*',
}
export const respellingNames = Object.keys(respellings)

export interface Spelling {
  readonly name: string
  readonly at: number
}

export function spell(path: string, spellings: readonly Spelling[]): string {
  return spellings.reduce((text, { name, at }) => (respellings[name] as Respelling)(text, at), path)
}

// Routers handle these differently, so they most often reach another handler.
const ambiguous = ['letterCase', 'otherCase', 'lastSlash', 'encodedLetter', 'encodedSwappedLetter']

const spellings = fc.record<Spelling>({
  name: fc.oneof(
    { weight: 2, arbitrary: fc.constantFrom(...ambiguous) },
    { weight: 3, arbitrary: fc.constantFrom(...respellingNames) },
  ),
  at: fc.nat({ max: 30 }),
})

export const spellingLists: fc.Arbitrary<readonly Spelling[]> = fc.oneof(
  { weight: 1, arbitrary: fc.constant([]) },
  { weight: 6, arbitrary: fc.array(spellings, { minLength: 1, maxLength: 1 }) },
  { weight: 3, arbitrary: fc.array(spellings, { minLength: 2, maxLength: 3 }) },
)
