// Stoa's light client, for web pages and Node 20 or newer. docs/light-client.md says how to use it.

/**
 * A block that the network key has signed. Its time, in seconds since 1970, tells how old the answer is.
 * @typedef {{ block: bigint, blockHash: string, timestamp: bigint }} At
 * @typedef {At & { parentHash: string, stateRoot: string, transactionsRoot: string, receiptsRoot: string }} Header
 * @typedef {At & { balance: bigint, nonce: bigint, codeHash: string, storage: { slot: bigint, value: bigint }[] }} Account
 * @typedef {{ address: string, topics: string[], data: string }} Event
 * @typedef {At & { index: bigint, success: boolean, gasUsed: bigint, contractAddress: string?, logs: Event[] }} Receipt
 * @typedef {bigint | number | string} Quantity
 */

const quantities = new Set(["block", "timestamp", "balance", "nonce", "slot", "value", "index", "gasUsed"]);
const revive = (key, value) => (quantities.has(key) ? BigInt(value) : value);

function hex(quantity) {
  try {
    return `0x${BigInt(quantity).toString(16)}`;
  } catch (cause) {
    throw new TypeError(`${String(quantity)} is no quantity: want a bigint, a number, or a string such as "0x10"`, { cause });
  }
}

/** Words that may be a node's: the first thousand characters, without what steers a terminal or turns the direction of writing. */
const words = (text) =>
  text.slice(0, 1000).replace(/[\p{Cc}\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/gu, " ");

/** Checks what a node has answered, with nothing but the network key. What does not hold is thrown as an `Error`. */
export class Light {
  #module;
  #networkKey;

  constructor(module, networkKey) {
    this.#module = module;
    this.#networkKey = networkKey;
  }

  /**
   * @param {BufferSource | Response | Promise<Response>} source `light.wasm`, or the answer to a request for it
   * @param {string} networkKey in hexadecimal, from somebody whom you trust; never from the node that is to be checked
   */
  static async load(source, networkKey) {
    const from = await source;
    const bytes = typeof from.arrayBuffer === "function" ? await from.arrayBuffer() : from;
    return new Light(await WebAssembly.compile(bytes), networkKey);
  }

  /**
   * The header of a final block.
   * @param {object} certificate what `stoa_getCertificate` answered
   * @param {Quantity} [block] its number, if a certain one was asked for
   * @returns {Promise<Header>}
   */
  async certificate(certificate, block) {
    return this.#prove({ certificate: this.#final(certificate, block) });
  }

  /**
   * What an account and slots of its storage hold; all zero if there is no such account.
   * @param {object} certificate what `stoa_getCertificate` answered
   * @param {object} proof what `stoa_getProof` answered
   * @param {{ address: string, slots?: Quantity[], block?: Quantity }} asked
   * @returns {Promise<Account>}
   */
  async account(certificate, proof, { address, slots = [], block }) {
    return this.#prove({ account: { block: this.#final(certificate, block), address, slots: slots.map(hex), proof } });
  }

  /**
   * What a transaction left behind.
   * @param {object} certificate what `stoa_getCertificate` answered
   * @param {object} proof what `stoa_getReceiptProof` answered
   * @param {string} transaction its hash
   * @returns {Promise<Receipt>}
   */
  async receipt(certificate, proof, transaction) {
    return this.#prove({ receipt: { block: this.#final(certificate), transaction, proof } });
  }

  #final(certificate, block) {
    return { networkKey: this.#networkKey, number: block === undefined ? undefined : hex(block), certificate };
  }

  async #prove(asked) {
    let request, answer;
    try {
      request = new TextEncoder().encode(JSON.stringify(asked));
    } catch (cause) {
      // A `bigint` or a cycle, which no answer has.
      if (cause instanceof TypeError) throw new TypeError(`the request cannot be written: ${cause.message}`, { cause });
      throw new Error("the node's answer cannot be checked: it is nested too deeply, or too long", { cause });
    }
    try {
      // Each check has an instance of its own: whatever an answer does to one ends with it.
      const { exports } = await WebAssembly.instantiate(this.#module, {});
      const at = exports.request(request.length);
      if (at === 0) throw new Error(`an answer of ${request.length} bytes is too long`);
      new Uint8Array(exports.memory.buffer, at, request.length).set(request);
      const length = exports.verify();
      const bytes = new Uint8Array(exports.memory.buffer, exports.answer(), length);
      answer = JSON.parse(new TextDecoder().decode(bytes), revive);
    } catch (cause) {
      throw new Error(`the answer cannot be checked: ${cause.message}`, { cause });
    }
    if (answer.proven === undefined) throw new Error(words(answer.error));
    return answer.proven;
  }
}

/** Asks a node, and returns nothing that is not proven. */
export class LightClient {
  #light;
  #url;

  /**
   * @param {Light} light
   * @param {string} url of the node's JSON-RPC
   */
  constructor(light, url) {
    this.#light = light;
    this.#url = url;
  }

  /**
   * @param {string} address
   * @param {Quantity[]} [slots] of its storage
   * @param {Quantity} [block] the newest that the node tells of if not given
   * @returns {Promise<Account>}
   */
  async account(address, slots = [], block) {
    const proof = await this.#call("stoa_getProof", address, slots.map(hex), block === undefined ? "latest" : hex(block));
    const number = block ?? blockNumber("stoa_getProof", proof);
    return this.#light.account(await this.#certificate(number), proof, { address, slots, block });
  }

  /** @returns {Promise<bigint>} in wei */
  async balance(address, block) {
    return (await this.account(address, [], block)).balance;
  }

  /** @returns {Promise<bigint>} what a slot holds */
  async storage(address, slot, block) {
    return (await this.account(address, [slot], block)).storage[0].value;
  }

  /**
   * @param {string} transaction its hash
   * @returns {Promise<Receipt>}
   */
  async receipt(transaction) {
    const proof = await this.#call("stoa_getReceiptProof", transaction);
    if (proof === null) throw new Error(`the node knows no block with transaction ${transaction}`);
    const number = blockNumber("stoa_getReceiptProof", proof);
    return this.#light.receipt(await this.#certificate(number), proof, transaction);
  }

  /**
   * @param {string} transaction its hash
   * @param {string} [contract] whose events; those of all if not given
   * @returns {Promise<Event[]>} in the order in which they were emitted
   */
  async events(transaction, contract) {
    const { logs } = await this.receipt(transaction);
    return logs.filter(({ address }) => contract === undefined || address.toLowerCase() === contract.toLowerCase());
  }

  /** The certificate of the very newest block may be on its way. */
  async #certificate(block) {
    for (const until = Date.now() + 5_000; ; await new Promise((resolve) => setTimeout(resolve, 50))) {
      try {
        return await this.#call("stoa_getCertificate", hex(block));
      } catch (error) {
        if (error.code === undefined || Date.now() > until) throw error;
      }
    }
  }

  async #call(method, ...params) {
    const node = `the node at ${this.#url}`;
    const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
    const headers = { "content-type": "application/json" };
    const signal = AbortSignal.timeout(30_000);
    // Whoever follows a redirect asks anew, often without the question.
    const asked = fetch(this.#url, { method: "POST", headers, body, signal, redirect: "manual" });
    const response = await asked.catch(because(`${node} cannot be reached`));
    const text = await read(response).catch(because(`the answer of ${node} to ${method} cannot be read`));
    const { result, error } = parsed(text) ?? {};
    if (Number.isSafeInteger(error?.code) && typeof error.message === "string") {
      const said = `${node} answered: ${words(error.message)} (code ${error.code})`;
      throw Object.assign(new Error(said), { code: error.code });
    }
    if (!response.ok) throw new Error(`${node} answered ${method} with ${status(response)}`);
    if (result === undefined || (error ?? null) !== null) {
      throw new Error(`${node} answered ${method} with neither a result nor an error of JSON-RPC`);
    }
    return result;
  }
}

/** Throws why something failed, with the words for what that was. */
const because = (what) => (cause) => {
  // What `fetch` throws tells no more than that it failed; its cause tells why.
  throw new Error(`${what}: ${words(cause.cause?.message || cause.message)}`, { cause });
};

/** An answer's status, in words; a page is not told where a redirect points. */
function status({ status, headers, type }) {
  if (type === "opaqueredirect") return "a redirect";
  const place = headers.get("location");
  return `the HTTP status ${status}${place === null ? "" : `, and points to ${words(place)}`}`;
}

/** The number of the block that an answer is about, as far as its node tells. */
function blockNumber(method, answer) {
  const number = answer?.blockNumber;
  if (typeof number === "string" && /^0x[0-9a-f]{1,64}$/i.test(number)) return number;
  throw new Error(`the node's answer to ${method} cannot be read: it names no block`);
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A body as text; one that is longer than anything that can be checked is not read to its end. */
async function read(response, limit = 32 << 20) {
  const chunks = [];
  let length = 0;
  for (const reader = response.body?.getReader(); reader !== undefined; ) {
    const { done, value } = await reader.read();
    if (done) break;
    chunks.push(value);
    if ((length += value.length) > limit) {
      await reader.cancel();
      throw new Error(`it is longer than ${limit} bytes`);
    }
  }
  return new Blob(chunks).text();
}
