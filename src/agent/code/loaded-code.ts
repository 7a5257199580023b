/** The modules of this process, as the loader has hashed them. */
export interface LoadedCode {
  /** `sha256:` and the lower-case hex SHA-256 over all modules that are loaded now. */
  digest(): string
  /** The most recent modules, to explain another digest. */
  latest(): readonly string[]
  /** Prints the digest and ends the process, where `ajwt checksum --code` has started it. */
  announce(): void
  /** Whether `ajwt checksum --code` has started the process: the digest is not known yet. */
  readonly isMeasuring: boolean
}

const key = Symbol.for('ajwt/loaded code')

/** Undefined where the process was not started with `--import ajwt/agent/loader`. */
export function loadedCode(): LoadedCode | undefined {
  return Object.getOwnPropertyDescriptor(globalThis, key)?.value
}

/** Cannot be replaced afterwards. The first loader of a process counts. */
export function publishLoadedCode(code: LoadedCode): void {
  if (loadedCode() === undefined) Object.defineProperty(globalThis, key, { value: Object.freeze(code) })
}
