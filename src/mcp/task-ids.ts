import { isObject } from '../lib/objects.js'
import { messagesOf } from './json-rpc.js'

/** Relates a message to a task: the answer to it is put into the queue of that task. */
const RELATED_TASK = 'io.modelcontextprotocol/related-task'

/**
 * The tasks that the messages of a request name: `tasks/get` and its like, and requests that are related to a
 * task. One that is no string is in the list, too: a server may read it as a string.
 */
export function requestedTasks(body: unknown): readonly unknown[] {
  return messagesOf(body).flatMap(({ method, params }) => {
    if (typeof method !== 'string' || !isObject(params)) return []
    const related = isObject(params._meta) ? params._meta[RELATED_TASK] : undefined
    const ids = [isObject(related) ? related.taskId : undefined]
    if (isTaskMethod(method)) ids.push(params.taskId)
    return ids.filter((id) => id !== undefined)
  })
}

/** Whether a request reads tasks that are there, and makes none. */
export function readsTasks(body: unknown): boolean {
  return messagesOf(body).some(({ method }) => typeof method === 'string' && isTaskMethod(method))
}

function isTaskMethod(method: string): boolean {
  return method.startsWith('tasks/')
}

/** The tasks in the results of a response. */
export interface ResultTasks {
  /** `CreateTaskResult`, and a task as the result itself. */
  readonly made: readonly string[]
  /** The result of `tasks/list`. */
  readonly listed: readonly string[]
}

export function resultTasks(message: unknown): ResultTasks {
  const results = messagesOf(message).flatMap(({ result }) => (isObject(result) ? [result] : []))
  return {
    made: results.flatMap((result) => idsOf([result, result.task])),
    listed: results.flatMap(({ tasks }) => idsOf(Array.isArray(tasks) ? tasks : [])),
  }
}

function idsOf(tasks: readonly unknown[]): string[] {
  return tasks.flatMap((task) => (isObject(task) && typeof task.taskId === 'string' ? [task.taskId] : []))
}
