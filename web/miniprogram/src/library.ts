// Old phones run mini-programs on old engines: what the client uses of the library
// beyond ES2017, where it is missing (see lib.d.ts).

const lacks = (of: object, name: string) => !(name in of);
const add = (of: object, name: string, value: unknown) => lacks(of, name) && Object.defineProperty(of, name, { value, writable: true, configurable: true });

add(Object, "hasOwn", (of: object, name: PropertyKey) => Object.prototype.hasOwnProperty.call(of, name));

add(Array.prototype, "flatMap", function flatMap(this: readonly unknown[], make: (value: unknown, index: number) => unknown) {
  return ([] as unknown[]).concat(...this.map((value, index) => make(value, index)));
});

add(Promise.prototype, "finally", function settled(this: Promise<unknown>, act: () => void) {
  return this.then(
    (value) => {
      act();
      return value;
    },
    (error: unknown) => {
      act();
      throw error;
    },
  );
});
