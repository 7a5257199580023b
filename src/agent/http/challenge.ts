/** The DPoP challenge of `WWW-Authenticate`, or else the first challenge. */
export interface AjwtChallenge {
  scheme: string
  error?: string
  scope?: string[]
  /** RFC 9470: required authentication contexts of the user. */
  acrValues?: string[]
  /** RFC 9470: maximum seconds since the user authenticated. */
  maxAge?: number
  algs?: string[]
  /** RFC 9728: URL of the API's metadata. */
  resourceMetadata?: string
}

/** Undefined if the header field contains no readable challenge. */
export function readChallenge(header: string | null): AjwtChallenge | undefined {
  const challenges = parseChallenges(header ?? '')
  const found = challenges.find(({ scheme }) => scheme.toLowerCase() === 'dpop') ?? challenges[0]
  if (!found) return undefined
  const { scheme, parameters } = found
  const list = (name: string) => parameters.get(name)?.split(' ').filter(Boolean)
  const maxAge = parameters.get('max_age')
  return {
    scheme,
    ...optional('error', parameters.get('error')),
    ...optional('scope', list('scope')),
    ...optional('acrValues', list('acr_values')),
    ...optional('maxAge', maxAge && /^\d{1,9}$/.test(maxAge) ? Number(maxAge) : undefined),
    ...optional('algs', list('algs')),
    ...optional('resourceMetadata', parameters.get('resource_metadata')),
  }
}

interface Challenge {
  scheme: string
  parameters: Map<string, string>
}

const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+"

/**
 * Matches one parameter or one scheme name (RFC 9110 section 11.6.1). It is sticky and cannot backtrack into
 * an earlier item, so the time is linear.
 */
const ITEM = new RegExp(
  `[\\s,]*(?:(${TOKEN})[ \\t]*=[ \\t]*(?:(${TOKEN})|"((?:[^"\\\\]|\\\\.)*)")|(${TOKEN})(?=[\\s,]|$))`,
  'y',
)

function parseChallenges(header: string): Challenge[] {
  const challenges: Challenge[] = []
  if (header.length > 8192) return challenges
  ITEM.lastIndex = 0
  for (let item = ITEM.exec(header); item; item = ITEM.exec(header)) {
    const [, name, plain, quoted, scheme] = item
    if (scheme) challenges.push({ scheme, parameters: new Map() })
    else if (name) {
      challenges.at(-1)?.parameters.set(name.toLowerCase(), plain ?? quoted?.replace(/\\(.)/g, '$1') ?? '')
    }
  }
  return challenges
}

function optional<K extends string, V>(key: K, value: V | undefined): { [P in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { [P in K]?: V })
}
