/**
 * The phone's own database (IndexedDB).
 * Promises: a write either happened whole or not at all. Trusts: the browser's storage for this origin.
 * Keeps: small settings in the clear, key handles that cannot be exported, and sealed records (see vault.ts).
 * Refuses: nothing; it neither seals nor opens.
 */
import { type DBSchema, type IDBPDatabase, type IDBPTransaction, openDB } from "idb";
import type { Bytes } from "./bytes.ts";

export interface PublicJwk {
  readonly kty: "EC";
  readonly crv: "P-256";
  readonly x: string;
  readonly y: string;
}

/** A non-extractable signing key. `owner` groups keys that live and die together. */
export interface KeyRow {
  readonly id: string;
  readonly owner: string;
  readonly key: CryptoKey;
  readonly jwk: PublicJwk;
}

export type SealedKind = "order" | "copy" | "history" | "pending" | "person";

/** A record sealed under the data key. `parent` and `used` are in the clear; they say nothing about the person. */
export interface SealedRow {
  readonly id: string;
  readonly kind: SealedKind;
  readonly parent: string;
  readonly used: 0 | 1;
  readonly iv: Bytes;
  readonly data: Bytes;
}

interface Schema extends DBSchema {
  meta: { key: string; value: unknown };
  keys: { key: string; value: KeyRow; indexes: { owner: string } };
  sealed: { key: string; value: SealedRow; indexes: { kind: string; parent: string } };
}

export type Database = IDBPDatabase<Schema>;
export type Write = IDBPTransaction<Schema, ("meta" | "keys" | "sealed")[], "readwrite">;

export class Store {
  private constructor(private readonly db: Database) {}

  static async open(name = "mapae-wallet"): Promise<Store> {
    const db = await openDB<Schema>(name, 1, {
      upgrade(fresh) {
        fresh.createObjectStore("meta");
        fresh.createObjectStore("keys", { keyPath: "id" }).createIndex("owner", "owner");
        const sealed = fresh.createObjectStore("sealed", { keyPath: "id" });
        sealed.createIndex("kind", "kind");
        sealed.createIndex("parent", "parent");
      },
      blocking(_old, _new, event) {
        (event.target as IDBDatabase).close(); // another tab wants a newer layout
      },
    });
    return new Store(db);
  }

  async meta<T>(key: string): Promise<T | undefined> {
    return (await this.db.get("meta", key)) as T | undefined;
  }

  async setMeta(key: string, value: unknown): Promise<void> {
    await this.db.put("meta", value, key);
  }

  async dropMeta(key: string): Promise<void> {
    await this.db.delete("meta", key);
  }

  key(id: string): Promise<KeyRow | undefined> {
    return this.db.get("keys", id);
  }

  keysOf(owner: string): Promise<KeyRow[]> {
    return this.db.getAllFromIndex("keys", "owner", owner);
  }

  row(id: string): Promise<SealedRow | undefined> {
    return this.db.get("sealed", id);
  }

  rows(kind: SealedKind): Promise<SealedRow[]> {
    return this.db.getAllFromIndex("sealed", "kind", kind);
  }

  rowsUnder(parent: string): Promise<SealedRow[]> {
    return this.db.getAllFromIndex("sealed", "parent", parent);
  }

  /** One transaction over everything. `body` must await nothing but the transaction itself. */
  async write<T>(body: (tx: Write) => Promise<T>): Promise<T> {
    const tx = this.db.transaction(["meta", "keys", "sealed"], "readwrite", { durability: "strict" });
    try {
      const result = await body(tx);
      await tx.done;
      return result;
    } catch (thrown) {
      try {
        tx.abort();
      } catch {
        // it has ended already; the first error is the one to report
      }
      await tx.done.catch(() => undefined);
      throw thrown;
    }
  }

  get name(): string {
    return this.db.name;
  }

  close(): void {
    this.db.close();
  }
}

/** Inside a write: drop every record and key that belongs to `owner`. */
export async function dropOwned(tx: Write, owner: string): Promise<void> {
  for (const id of await tx.objectStore("sealed").index("parent").getAllKeys(owner)) {
    await tx.objectStore("sealed").delete(id);
  }
  for (const id of await tx.objectStore("keys").index("owner").getAllKeys(owner)) {
    await tx.objectStore("keys").delete(id);
  }
}

/** Inside a write: drop a card with its copies and keys. */
export async function dropOrder(tx: Write, { id, parts }: { readonly id: string; readonly parts: readonly { readonly configuration: string }[] }): Promise<void> {
  await tx.objectStore("sealed").delete(id);
  for (const { configuration } of parts) await dropOwned(tx, `${id}/${configuration}`);
}
