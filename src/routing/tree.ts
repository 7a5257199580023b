import type { Segment } from '../policy/route-key.js'

/** Something that stands at the end of a pattern, by method; `*` stands for every method that has no own. */
export type Ends<T> = Map<string, T>

interface Node<T> {
  readonly literals: Map<string, Node<T>>
  param: Node<T> | undefined
  /** What ends here. */
  ends: Ends<T> | undefined
  /** What ends in a `*` here. */
  rests: Ends<T> | undefined
}

/**
 * Patterns of paths, found segment by segment from the left: a literal before a parameter before a `*`, and the next
 * best where the best has no such method further on, as routers go on to the next handler. A path is looked up in
 * steps as many as it has segments, however many patterns there are.
 */
export class RouteTree<T> {
  readonly #root: Node<T> = createNode()
  readonly #emptyRest: boolean

  /** `emptyRest`: whether a `*` stands for nothing, too. */
  constructor(emptyRest: boolean) {
    this.#emptyRest = emptyRest
  }

  /** Of two values for one pattern and one method, the first one stays. */
  add(segments: readonly Segment[], method: string, value: T): void {
    let node = this.#root
    for (const segment of segments) {
      if (segment.kind === 'rest') {
        node.rests ??= new Map()
        if (!node.rests.has(method)) node.rests.set(method, value)
        return
      }
      node = segment.kind === 'param' ? paramOf(node) : literalOf(node, segment.text)
    }
    node.ends ??= new Map()
    if (!node.ends.has(method)) node.ends.set(method, value)
  }

  /** The most specific value; `path` begins with a slash, and a slash at its end counts for nothing. */
  find(method: string, path: string): T | undefined {
    const end = endOf(path)
    return end === 0 ? this.#findAtEnd(this.#root, method) : this.#find(this.#root, method, path, 1, end)
  }

  /** Every value that the path could be taken for, the most specific last. */
  findAll(method: string, path: string): T[] {
    const found: T[] = []
    const end = endOf(path)
    this.#collect(this.#root, method, path, 1, end, found)
    return found.reverse()
  }

  #find(node: Node<T>, method: string, path: string, start: number, end: number): T | undefined {
    const slash = path.indexOf('/', start)
    const isLast = slash < 0 || slash >= end
    const next = node.literals.get(path.slice(start, isLast ? end : slash))
    if (next !== undefined) {
      const found = isLast ? this.#findAtEnd(next, method) : this.#find(next, method, path, slash + 1, end)
      if (found !== undefined) return found
    }
    if (node.param !== undefined) {
      const found = isLast
        ? this.#findAtEnd(node.param, method)
        : this.#find(node.param, method, path, slash + 1, end)
      if (found !== undefined) return found
    }
    return pick(node.rests, method)
  }

  #findAtEnd(node: Node<T>, method: string): T | undefined {
    return pick(node.ends, method) ?? (this.#emptyRest ? pick(node.rests, method) : undefined)
  }

  #collect(node: Node<T>, method: string, path: string, start: number, end: number, found: T[]): void {
    if (start > end) {
      collectEnds(node.ends, method, found)
      if (this.#emptyRest) collectEnds(node.rests, method, found)
      return
    }
    const slash = path.indexOf('/', start)
    const stop = slash < 0 || slash >= end ? end : slash
    const literal = node.literals.get(path.slice(start, stop))
    if (literal !== undefined) this.#collect(literal, method, path, stop + 1, end, found)
    if (node.param !== undefined) this.#collect(node.param, method, path, stop + 1, end, found)
    collectEnds(node.rests, method, found)
  }
}

/** Where the last segment of a path ends; 0 where there is none. */
function endOf(path: string): number {
  return path.charCodeAt(path.length - 1) === 0x2f ? path.length - 1 : path.length
}

/** The value for a method, or that for every method. */
export function pick<T>(ends: Ends<T> | undefined, method: string): T | undefined {
  return ends === undefined ? undefined : (ends.get(method) ?? ends.get('*'))
}

function collectEnds<T>(ends: Ends<T> | undefined, method: string, found: T[]): void {
  for (const name of [method, '*']) {
    const value = ends?.get(name)
    if (value !== undefined) found.push(value)
  }
}

function createNode<T>(): Node<T> {
  return { literals: new Map(), param: undefined, ends: undefined, rests: undefined }
}

function paramOf<T>(node: Node<T>): Node<T> {
  node.param ??= createNode()
  return node.param
}

function literalOf<T>(node: Node<T>, text: string): Node<T> {
  const known = node.literals.get(text)
  if (known !== undefined) return known
  const made: Node<T> = createNode()
  node.literals.set(text, made)
  return made
}
