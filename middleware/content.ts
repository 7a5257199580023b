import type { IncomingHttpHeaders } from 'node:http'
import { ownMember } from '../src/lib/objects.js'
import { isFormType, isJsonType, mediaTypeOf, type RequestContent } from '../src/request/content.js'

export type { RequestContent }

/** A request of a framework on Node, behind its body parser. */
interface ParsedRequest {
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly body: unknown
  /** The objects on which apps and parsers keep the bytes, as `rawBody`. */
  readonly keepers: readonly object[]
  readonly keptIn: string
}

/** The content of a request whose body a parser has read. */
export function contentOfParsed({ url, headers, body, keepers, keptIn }: ParsedRequest): RequestContent {
  return {
    url,
    keptIn,
    body: () => body,
    bytes() {
      // Its own: not that of a polluted `Object.prototype`.
      const kept = keepers.map((keeper) => ownMember(keeper, 'rawBody'))
      return [...kept, body].find(isContent)
    },
    field(name) {
      const value = headers[name]
      return Array.isArray(value) ? value.join(', ') : value
    },
  }
}

/** Parsers of text and of bytes hand on the content as it came. */
function isContent(value: unknown): value is Uint8Array | string {
  return typeof value === 'string' || value instanceof Uint8Array
}

/** Parses content for a framework that leaves it to handlers. Undefined for other media types. */
export async function parseContent(bytes: Uint8Array<ArrayBuffer>, contentType: string): Promise<unknown> {
  const type = mediaTypeOf({ field: () => contentType })
  const json = parseJson(bytes)
  if (isJsonType(type)) return json
  // A handler may read JSON whatever the type says: text that is both has two meanings.
  if (!isFormType(type) || json !== undefined) return undefined
  return parseForm(bytes, contentType)
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes))
  } catch {
    return undefined
  }
}

/** A field that comes twice is an array. Of a file, the name, the type and the size are there. */
async function parseForm(bytes: Uint8Array<ArrayBuffer>, type: string): Promise<unknown> {
  let form: FormData
  try {
    form = await new Response(bytes, { headers: { 'content-type': type } }).formData()
  } catch {
    return undefined
  }
  const members: [name: string, value: unknown][] = Array.from(new Set(form.keys()), (name) => {
    const values = form.getAll(name).map(toJson)
    return [name, values.length === 1 ? values[0] : values]
  })
  return Object.fromEntries(members)
}

function toJson(value: ReturnType<FormData['getAll']>[number]): unknown {
  return typeof value === 'string' ? value : { name: value.name, type: value.type, size: value.size }
}
