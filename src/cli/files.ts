import { closeSync, openSync, readSync } from 'node:fs'
import { messageOf, UsageError } from './usage-error.js'

const kibibyte = 1024
const mebibyte = 1024 * kibibyte

/** The largest file of each kind in bytes: a wrong file, or one without end, must not fill the memory. */
const limits = {
  policy: 16 * mebibyte,
  agent: 16 * mebibyte,
  openapi: 16 * mebibyte,
  /** HAR and OTLP, which hold the bodies of responses too. */
  recording: 256 * mebibyte,
  /** As for keys that are fetched. */
  jwks: 256 * kibibyte,
  key: 64 * kibibyte,
  curl: mebibyte,
} as const

export type FileKind = keyof typeof limits

/** The text of a file that the caller has named, without a byte order mark. `-` is standard input. */
export function readText(file: string, kind: FileKind): string {
  const bytes = readBytes(file, kind)
  // As Windows tools and PowerShell write files.
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return new TextDecoder('utf-16le').decode(bytes)
  return new TextDecoder().decode(bytes)
}

export function readJsonFile(file: string, kind: FileKind): unknown {
  return parseJson(readText(file, kind), file)
}

export function parseJson(text: string, file: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    // Without the parser's message, which quotes the file: it may hold a private key.
    const position = /position \d+/.exec(messageOf(error))?.[0]
    throw new UsageError(`${file} is not JSON${position === undefined ? '' : ` at ${position}`}`)
  }
}

/**
 * The bytes of a file or, for `-`, of standard input. Throws a UsageError if it cannot be read or is too
 * large.
 */
export function readBytes(file: string, kind: FileKind): Uint8Array {
  try {
    return readAtMost(file, limits[kind])
  } catch (error) {
    throw asUsageError(error, file)
  }
}

/** In chunks, because the size of a pipe or a device is not known before it is read. */
function readAtMost(file: string, limit: number): Uint8Array {
  const descriptor = file === '-' ? 0 : openSync(file, 'r')
  const chunks: Uint8Array[] = []
  let length = 0
  try {
    for (;;) {
      const chunk = Buffer.allocUnsafe(64 * kibibyte)
      const count = readSync(descriptor, chunk)
      if (count === 0) return Buffer.concat(chunks)
      length += count
      if (length > limit)
        throw new UsageError(`${nameOf(file)} has more than ${sizeOf(limit)}: is it the right file?`)
      chunks.push(chunk.subarray(0, count))
    }
  } finally {
    if (file !== '-') closeSync(descriptor)
  }
}

function sizeOf(bytes: number): string {
  return bytes < mebibyte ? `${bytes / kibibyte} KiB` : `${bytes / mebibyte} MiB`
}

function nameOf(file: string): string {
  return file === '-' ? 'standard input' : file
}

/** Errors of the file system are mistakes of the command. Others stay as they are. */
function asUsageError(error: unknown, file: string): unknown {
  const { code }: { code?: unknown } = Object(error)
  if (code === 'ENOENT') return new UsageError(`${file}: there is no such file`)
  if (code === 'EISDIR') return new UsageError(`${file} is a folder, not a file`)
  return typeof code === 'string'
    ? new UsageError(`${nameOf(file)} cannot be read: ${messageOf(error)}`)
    : error
}
