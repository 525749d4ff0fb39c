// IndexedDB with promises, and no more of it than is needed.

function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("IndexedDB"));
  });
}

/** An open database. */
export class Database {
  readonly #inner: IDBDatabase;

  private constructor(inner: IDBDatabase) {
    this.#inner = inner;
    // Another tab brings a newer form: make way.
    inner.onversionchange = () => inner.close();
  }

  /** Opens a database whose stores have keys outside their values. */
  static async open(name: string, version: number, stores: readonly string[]): Promise<Database> {
    const request = indexedDB.open(name, version);
    request.onupgradeneeded = () => {
      for (const store of stores) {
        if (!request.result.objectStoreNames.contains(store)) request.result.createObjectStore(store);
      }
    };
    return new Database(await settled(request));
  }

  /** What stands at a key, as what the writer of this store put there. */
  async get<T>(store: string, key: string): Promise<T | undefined> {
    return (await settled(this.#inner.transaction(store).objectStore(store).get(key))) as T | undefined;
  }

  /** Everything in a store, in the order of its keys. */
  async all<T>(store: string): Promise<T[]> {
    return (await settled(this.#inner.transaction(store).objectStore(store).getAll())) as T[];
  }

  /** Every key of a store. */
  async keys(store: string): Promise<string[]> {
    return (await settled(this.#inner.transaction(store).objectStore(store).getAllKeys())).map(String);
  }

  /** Writes and removes (`undefined`) in one transaction: all of it or nothing, and on the disk when it is done. */
  change(store: string, values: ReadonlyMap<string, unknown>): Promise<void> {
    const transaction = this.#inner.transaction(store, "readwrite", { durability: "strict" });
    for (const [key, value] of values) {
      if (value === undefined) transaction.objectStore(store).delete(key);
      else transaction.objectStore(store).put(value, key);
    }
    return new Promise((resolve, reject) => {
      transaction.oncomplete = () => resolve();
      transaction.onerror = () => reject(transaction.error ?? new Error("IndexedDB"));
      transaction.onabort = () => reject(transaction.error ?? new Error("IndexedDB"));
    });
  }
}
