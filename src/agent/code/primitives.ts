/**
 * The primitives that the client hashes and signs with. They are taken when this module is loaded, so that
 * code that runs later cannot replace them and forge a checksum.
 */
const { subtle } = globalThis.crypto ?? {}
const encoder = new TextEncoder()
const encode = encoder.encode
const { apply } = Reflect
const Bytes = Uint8Array

/** The object that holds a primitive, and the name of the member. */
const places: readonly (readonly [holder: object | undefined, member: string, name: string])[] = [
  [globalThis, 'crypto', 'crypto'],
  [globalThis.crypto, 'subtle', 'crypto.subtle'],
  [globalThis.crypto, 'randomUUID', 'crypto.randomUUID'],
  ...['digest', 'sign', 'importKey', 'deriveBits'].map(
    (member) => [subtle, member, `crypto.subtle.${member}`] as const,
  ),
  [TextEncoder.prototype, 'encode', 'TextEncoder.prototype.encode'],
  [globalThis, 'Uint8Array', 'Uint8Array'],
  [Reflect, 'apply', 'Reflect.apply'],
  ...(['toString', 'call', 'apply'] as const).map(
    (member) => [Function.prototype, member, `Function.prototype.${member}`] as const,
  ),
  [JSON, 'stringify', 'JSON.stringify'],
  ...(['entries', 'keys', 'fromEntries'] as const).map(
    (member) => [Object, member, `Object.${member}`] as const,
  ),
  ...(['map', 'filter', 'sort', 'join', 'forEach', 'find', 'reduce', 'push'] as const).map(
    (member) => [Array.prototype, member, `Array.prototype.${member}`] as const,
  ),
  [Array, 'from', 'Array.from'],
  ...(['normalize', 'replace', 'split', 'trim', 'trimEnd', 'padStart'] as const).map(
    (member) => [String.prototype, member, `String.prototype.${member}`] as const,
  ),
  [RegExp.prototype, 'test', 'RegExp.prototype.test'],
]

const taken = places.map(([holder, member, name]) => ({ holder, member, name, value: read(holder, member) }))

/** The name of a primitive that was replaced after this module was loaded. */
export function findReplacedPrimitive(): string | undefined {
  // Plain loops: a replaced method of arrays must not hide itself.
  for (let at = 0; at < taken.length; at++) {
    const { holder, member, name, value } = taken[at] as (typeof taken)[number]
    if (read(holder, member) !== value) return name
  }
  return undefined
}

function read(holder: object | undefined, member: string): unknown {
  return holder === undefined ? undefined : (holder as Readonly<Record<string, unknown>>)[member]
}

const digest = subtle?.digest

export function utf8(value: string): Uint8Array<ArrayBuffer> {
  return apply(encode, encoder, [value])
}

/** SHA-256 of the UTF-8 bytes. */
export async function sha256(value: string): Promise<Uint8Array> {
  if (digest === undefined) throw new TypeError('Web Crypto is missing: it needs a secure context')
  return new Bytes(await apply(digest, subtle, ['SHA-256', utf8(value)]))
}

const functionToString = Function.prototype.toString

/**
 * The source of a function, with LF line ends. The closure and the modules of the function are not in it.
 *
 * @throws TypeError for a function without a source: a bound or built-in one, or a proxy
 */
export function sourceOf(value: (...args: never[]) => unknown, path: string): string {
  const source = apply(functionToString, value, [])
  if (/\{\s*\[native code\]\s*\}$/.test(source))
    throw new TypeError(
      `${path} has no source that the checksum could cover: it is bound, built in or a proxy. Pass the function ` +
        'itself, for example (input) => service.run(input)',
    )
  return source.replace(/\r\n?/g, '\n')
}
