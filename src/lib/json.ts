/** A JSON value. */
export type Json = null | boolean | number | string | readonly Json[] | JsonMembers

/** The members of a JSON object. */
export interface JsonMembers {
  readonly [name: string]: Json
}
