// What the client uses of the library beyond ES2017, and library.ts brings. Anything
// else that is newer is an error here, before it is one on somebody's old phone.
interface ObjectConstructor {
  hasOwn(of: object, name: PropertyKey): boolean;
}
interface ReadonlyArray<T> {
  flatMap<U>(make: (value: T, index: number) => U | readonly U[]): U[];
}
interface Array<T> {
  flatMap<U>(make: (value: T, index: number) => U | readonly U[]): U[];
}
interface Promise<T> {
  finally(act: () => void): Promise<T>;
}
