import type { RegisteredMethod } from './methods.js'
import type { ClaimConstraint, Policy, RouteRule } from './policy.js'

/** Returns the policy unchanged. Its type lets editors complete and check the keys and names. */
export function definePolicy<const P extends Policy>(policy: P & NoInfer<CheckedPolicy<P>>): P {
  return policy
}

/** The type of a wrong place, for the message of the compiler. No value has this type. */
interface Mistake<Message extends string> {
  readonly [mistake]: Message
}
declare const mistake: unique symbol

/** The policy with `Mistake` in place of each wrong key, route, workflow, step or parameter. */
type CheckedPolicy<P extends Policy> = {
  readonly [Key in keyof P]: Key extends 'routes'
    ? CheckedRoutes<P[Key], Workflows<P>>
    : Key extends keyof Policy
      ? Exact<P[Key], NonNullable<Policy[Key]>>
      : Mistake<`"${Key & string}" is not a key of a policy`>
}

type CheckedRoutes<Routes, W> = {
  readonly [Key in keyof Routes]: Key extends string
    ? string extends Key
      ? Routes[Key]
      : Key extends `${infer Methods} /${infer Path}`
        ? AreMethods<Methods> extends true
          ? CheckedAccess<Routes[Key], ParameterOf<Path>, W>
          : Mistake<`"${Methods}" is not a registered HTTP method, several joined by ",", or "*"`>
        : Mistake<'a key of routes is written "METHOD /path"'>
    : Routes[Key]
}

type AreMethods<Text extends string> = Text extends '*' ? true : AreNamed<Text>
type AreNamed<Text extends string> = Text extends `${infer First},${infer Rest}`
  ? First extends RegisteredMethod
    ? AreNamed<Rest>
    : false
  : Text extends RegisteredMethod
    ? true
    : false

/** The names of the `:name` segments of a path. */
type ParameterOf<Path extends string> = Path extends `${infer First}/${infer Rest}`
  ? ParameterOf<First> | ParameterOf<Rest>
  : Path extends `:${infer Name}`
    ? Name
    : never

type CheckedAccess<Access, Parameter extends string, W> = Access extends string
  ? Access
  : {
      readonly [Key in keyof Access]: Key extends 'intent'
        ? CheckedIntent<Access[Key], W>
        : Key extends 'claims'
          ? CheckedClaims<Access[Key], Parameter>
          : Key extends keyof RouteRule
            ? Exact<Access[Key], NonNullable<RouteRule[Key]>>
            : Mistake<`"${Key & string}" is not a key of a rule`>
    }

type CheckedClaims<Claims, Parameter extends string> = {
  readonly [Pointer in keyof Claims]: {
    readonly [Key in keyof Claims[Pointer]]: Key extends 'param'
      ? Known<Claims[Pointer][Key], Parameter, 'is not a parameter of the path'>
      : Key extends 'some'
        ? CheckedClaims<Claims[Pointer][Key], Parameter>
        : Key extends keyof ClaimConstraint
          ? Claims[Pointer][Key]
          : Mistake<`"${Key & string}" is not a constraint on a claim`>
  }
}

type CheckedIntent<Intent, W> = {
  readonly [Key in keyof Intent]: Key extends 'workflow'
    ? Known<Intent[Key], keyof W & string, 'is not a workflow of this policy'>
    : Key extends 'step'
      ? CheckedSteps<Intent[Key], Intent extends { readonly workflow: infer Name } ? StepOf<W, Name> : string>
      : Mistake<`"${Key & string}" is not a key of intent`>
}

type CheckedSteps<Steps, Step extends string> = Steps extends readonly unknown[]
  ? { readonly [Index in keyof Steps]: Known<Steps[Index], Step, 'is not a step of this workflow'> }
  : Known<Steps, Step, 'is not a step of this workflow'>

/** A name that must be one of `Names`. A `string` that is not a literal is checked at run time. */
type Known<Name, Names extends string, Message extends string> = Name extends string
  ? string extends Name
    ? Name
    : Name extends Names
      ? Name
      : Mistake<`"${Name}" ${Message}`>
  : Name

/** The workflows of a policy. Any workflow for a policy without them. */
type Workflows<P> = P extends { readonly workflows: infer W } ? W : Record<string, unknown>

type StepOf<W, Name> = Name extends keyof W
  ? W[Name] extends { readonly steps: readonly (infer Step)[] }
    ? Step extends { readonly id: infer Id extends string }
      ? Id
      : Step & string
    : string
  : string

/**
 * A value with `Mistake` in place of each unknown key, at every level. A shape without keys, as of a JWK,
 * allows all.
 */
type Exact<Value, Shape> = Value extends readonly unknown[]
  ? { readonly [Index in keyof Value]: Exact<Value[Index], ElementOf<Shape>> }
  : Value extends object
    ? [KeyOf<ObjectOf<Shape>>] extends [never]
      ? Value
      : {
          readonly [Key in keyof Value]: Key extends KeyOf<ObjectOf<Shape>>
            ? Key extends 'claims'
              ? CheckedClaims<Value[Key], string>
              : Exact<Value[Key], MemberOf<ObjectOf<Shape>, Key>>
            : Mistake<`"${Key & string}" is not a key here`>
        }
    : Value

type ElementOf<Shape> = Shape extends readonly (infer Element)[] ? Element : never
type ObjectOf<Shape> = Shape extends readonly unknown[] | string ? never : Shape
type KeyOf<Shape> = Shape extends unknown ? keyof Shape : never
type MemberOf<Shape, Key> = Shape extends unknown
  ? Key extends keyof Shape
    ? NonNullable<Shape[Key]>
    : never
  : never
