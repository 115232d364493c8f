/** CBOR values in JSON: `{"$date": day}`, `{"$time": moment}` and `{"$bytes": base64url}` stand for what JSON has no word for. */
import { b64u, unb64u } from "./keys.mjs";

export function fromJson(value, Day) {
  if (Array.isArray(value)) return value.map((one) => fromJson(one, Day));
  if (value === null || typeof value !== "object") return value;
  if ("$date" in value) return Day === String ? value.$date : new Day(value.$date);
  if ("$time" in value) return new Date(value.$time);
  if ("$bytes" in value) return unb64u(value.$bytes);
  return new Map(Object.entries(value).map(([name, inner]) => [name, fromJson(inner, Day)]));
}

export function toJson(value) {
  if (value instanceof Uint8Array) return { $bytes: b64u(value) };
  if (value instanceof Date) {
    const text = value.toISOString(); // auth0's day is a Date whose text is a day
    return text.length === 10 ? { $date: text } : { $time: text.replace(".000Z", "Z") };
  }
  if (value?.constructor?.name === "DateOnly") return { $date: value.toISOString() };
  if (Array.isArray(value)) return value.map(toJson);
  if (value instanceof Map) return Object.fromEntries([...value].map(([name, inner]) => [name, toJson(inner)]));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, toJson(inner)]));
}
