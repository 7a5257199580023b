import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { createRequire } from 'node:module'
import { dirname, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The modules that this process has loaded, with the hash of each. */
export interface Modules {
  /**
   * `source` is what the runtime executes. A module that is loaded again with another source counts as well.
   */
  record(place: string, source: string | Uint8Array): void
  /** Over the lines `path hash`, sorted. Paths are relative to the folder of the entry. */
  digest(): string
  /** The last ten paths. */
  latest(): readonly string[]
}

export function createModules(): Modules {
  const hashes = new Set<string>()
  const places: string[] = []
  let digest: string | undefined
  return {
    record(place, source) {
      const line = `${place} ${sha256(source)}`
      if (hashes.has(line)) return
      hashes.add(line)
      places.push(place)
      digest = undefined
    },
    digest() {
      const root = entryFolder()
      digest ??= `sha256:${sha256(
        [...hashes]
          .map((line) => pathFrom(root, line))
          .sort()
          .join('\n'),
      )}`
      return digest
    },
    latest: () => places.slice(-10).map((place) => pathFrom(entryFolder(), place)),
  }
}

/** The name of a module, whose URL may have a query. */
export function placeOf(url: string): string {
  if (!url.startsWith('file:')) return url.startsWith('data:') ? 'data:' : url
  return fileURLToPath(url)
}

function entryFolder(): string {
  const [, entry] = process.argv
  if (entry === undefined) return process.cwd()
  try {
    // As Node finds it: `node .` and `node agent` name neither a file nor its folder.
    return dirname(createRequire(entry).resolve(entry))
  } catch {
    return dirname(entry)
  }
}

/** `/srv/app/tools.js` as `tools.js`: the same in another folder, and with another separator. */
function pathFrom(root: string, line: string): string {
  return (line.startsWith(sep) || /^[a-z]:\\/i.test(line) ? relative(root, line) : line).replaceAll(sep, '/')
}

function sha256(content: string | Uint8Array): string {
  const bytes = typeof content === 'string' ? Buffer.from(content) : content
  return createHash('sha256').update(bytes).digest('hex')
}
