/**
 * Changes JSON by its structure: other types, deep nesting, huge numbers, prototype keys, duplicated keys, long and
 * broken texts. The result is a text, because values such as a duplicated key or `1e400` exist only there.
 */
import type { Dice } from './dice.ts';
import { hostileText, KEYS, nested, RAW_VALUES } from './hostile-values.ts';

/** Later changes double it a few times: most bodies stay below the bound, and no case fills the memory. Characters. */
const MAX_REPEATED = 2 * 2 ** 20;

/** A value whose text is written as it is. */
class Raw {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** An object as the list of its entries: keys may come twice. */
class Entries {
  readonly list: [key: string, value: Tree][];

  constructor(list: [string, Tree][]) {
    this.list = list;
  }
}

type Tree = string | number | boolean | null | Raw | Entries | Tree[];

/** One place in the tree that can be replaced or removed. */
interface Place {
  readonly value: Tree;
  readonly key: string | undefined;
  set(value: Tree): void;
  remove(): void;
  rename(key: string): void;
  /** Adds another entry or element beside it. */
  add(key: string, value: Tree): void;
}

/** Makes between one and `most` changes. @param text valid JSON. */
export function mutateJson(text: string, dice: Dice, most = 4): string {
  const root: [Tree] = [readTree(JSON.parse(text))];
  for (let left = dice.between(1, most); left > 0; left--) {
    const places = listPlaces(root);
    change(dice.pick(places), dice.pick(places), dice);
  }
  return render(root[0]);
}

function change(place: Place, other: Place, dice: Dice): void {
  const key = dice.once(2) ? dice.pick(KEYS) : hostileText(dice);
  switch (dice.below(13)) {
    case 0:
      place.remove();
      break;
    case 1:
      place.add(place.key ?? '', replacement(place, other, dice));
      break;
    case 2:
      place.add(key, replacement(place, other, dice));
      break;
    case 3:
      place.rename(key);
      break;
    default:
      place.set(replacement(place, other, dice));
  }
}

function replacement({ value }: Place, other: Place, dice: Dice): Tree {
  switch (dice.below(10)) {
    case 0:
    case 1:
      return hostileText(dice);
    case 2:
    case 3:
    case 4:
      return new Raw(dice.pick(RAW_VALUES));
    case 5:
      return new Raw(nested(dice));
    case 6:
      return new Raw(render(other.value));
    case 7:
      return new Entries([[dice.pick(KEYS), value]]);
    case 8:
      return new Raw(repeat(render(value), dice.size(9)));
    default:
      return typeof value === 'string' ? value + hostileText(dice) : hostileText(dice);
  }
}

/** A list of equal elements, of {@link MAX_REPEATED} or one more of them. */
function repeat(element: string, times: number): string {
  const most = Math.ceil(MAX_REPEATED / (element.length + 1));
  return `[${Array.from({ length: Math.min(times, most) }, () => element).join(',')}]`;
}

function readTree(value: unknown): Tree {
  if (Array.isArray(value)) return value.map(readTree);
  if (typeof value !== 'object' || value === null) return value as Tree;
  return new Entries(Object.entries(value).map(([key, member]) => [key, readTree(member)]));
}

function listPlaces(root: [Tree]): readonly Place[] {
  const places: Place[] = [];
  const visit = (tree: Tree): void => {
    if (Array.isArray(tree)) {
      for (const [i, value] of tree.entries()) {
        places.push(new Element(tree, i));
        visit(value);
      }
    } else if (tree instanceof Entries) {
      for (const entry of tree.list) {
        places.push(new Member(tree, entry));
        visit(entry[1]);
      }
    }
  };
  places.push(new Element(root, 0));
  visit(root[0]);
  return places;
}

class Element implements Place {
  readonly key = undefined;
  readonly #array: Tree[];
  readonly #index: number;

  constructor(array: Tree[], index: number) {
    this.#array = array;
    this.#index = index;
  }

  get value(): Tree {
    return this.#array[this.#index]!;
  }

  set(value: Tree): void {
    this.#array[this.#index] = value;
  }

  remove(): void {
    this.set(null);
  }

  rename(): void {}

  add(_key: string, value: Tree): void {
    this.set([this.value, value]);
  }
}

class Member implements Place {
  readonly #object: Entries;
  readonly #entry: [string, Tree];

  constructor(object: Entries, entry: [string, Tree]) {
    this.#object = object;
    this.#entry = entry;
  }

  get key(): string {
    return this.#entry[0];
  }

  get value(): Tree {
    return this.#entry[1];
  }

  set(value: Tree): void {
    this.#entry[1] = value;
  }

  remove(): void {
    this.#object.list.splice(this.#object.list.indexOf(this.#entry), 1);
  }

  rename(key: string): void {
    this.#entry[0] = key;
  }

  add(key: string, value: Tree): void {
    this.#object.list.splice(this.#object.list.indexOf(this.#entry), 0, [key, value]);
  }
}

function render(tree: Tree): string {
  if (tree instanceof Raw) return tree.text;
  if (typeof tree !== 'object' || tree === null) return JSON.stringify(tree);
  if (Array.isArray(tree)) return `[${tree.map(render).join(',')}]`;
  return `{${tree.list.map(([key, value]) => `${JSON.stringify(key)}:${render(value)}`).join(',')}}`;
}
