import { afterEach, describe, expect, it, vi } from "vitest";
import { api, setCredentials } from "../src/api/client";
import { encodeParams, fillPath } from "../src/api/encode";
import { ApiError, errorFrom } from "../src/api/error";
import { stubFetch } from "./stub";

afterEach(() => {
  vi.unstubAllGlobals();
  setCredentials({ csrf: () => undefined, expired: () => undefined });
});

describe("encoding", () => {
  it("writes booleans as 1 and 0 and leaves out what is undefined", () => {
    const text = encodeParams({
      start: true,
      onboot: false,
      name: "a b&c",
      none: undefined,
      n: 5,
    }).toString();
    expect(text).toBe("start=1&onboot=0&name=a+b%26c&n=5");
  });

  it("repeats the key for lists", () => {
    expect(encodeParams({ id: ["a", "b"] }).toString()).toBe("id=a&id=b");
  });

  it("takes path parameters out of the rest and escapes them", () => {
    const { path, rest } = fillPath("/nodes/{node}/content/{volume}", {
      node: "a",
      volume: "local:iso/x.iso",
      content: "iso",
    });
    expect(path).toBe("/nodes/a/content/local%3Aiso%2Fx.iso");
    expect(rest).toEqual({ content: "iso" });
  });

  it("refuses a path with a missing part", () => {
    expect(() => fillPath("/nodes/{node}/status", { node: "" })).toThrow("node is missing");
  });
});

describe("errors", () => {
  it("takes the message of the body, with complaints per field", () => {
    const error = errorFrom(
      400,
      "Bad",
      '{"data":null,"message":"Parameter verification failed.\\n","errors":{"name":"invalid\\n"}}',
    );
    expect(error.message).toBe("Parameter verification failed.");
    expect(error.fields).toEqual({ name: "invalid" });
  });

  it("falls back to the reason phrase, then to the number", () => {
    expect(errorFrom(500, "no such VM ('100')", "<html>").message).toBe("no such VM ('100')");
    expect(errorFrom(500, "", "").message).toBe("The server answered with status 500.");
  });

  it("tells an unreachable server from a refusal", () => {
    expect(new ApiError(0, "x").unreachable).toBe(true);
    expect(new ApiError(503, "x").unreachable).toBe(true);
    expect(new ApiError(403, "x").unreachable).toBe(false);
  });
});

describe("calls", () => {
  it("sends reading parameters in the query and no CSRF token", async () => {
    setCredentials({ csrf: () => "token", expired: () => undefined });
    const asked = stubFetch({ "GET /nodes/a/tasks": { data: [] } });
    await api.get("/nodes/{node}/tasks", { node: "a", limit: 5 });
    expect(asked[0]?.query.get("limit")).toBe("5");
    expect(asked[0]?.headers).not.toHaveProperty("CSRFPreventionToken");
  });

  it("sends writing parameters in the body with the CSRF token", async () => {
    setCredentials({ csrf: () => "token", expired: () => undefined });
    const asked = stubFetch({ "POST /nodes/a/qemu": { data: "UPID" } });
    const upid = await api.post("/nodes/{node}/qemu", { node: "a", vmid: 100, start: 1, cmdline: undefined });
    expect(upid).toBe("UPID");
    expect(asked[0]?.body.toString()).toBe("vmid=100&start=1");
    expect(asked[0]?.headers["CSRFPreventionToken"]).toBe("token");
  });

  it("tells the session about a 401", async () => {
    const expired = vi.fn();
    setCredentials({ csrf: () => "token", expired });
    stubFetch({ "GET /cluster/resources": { status: 401, message: "invalid ticket" } });
    await expect(api.get("/cluster/resources", {})).rejects.toThrow("invalid ticket");
    expect(expired).toHaveBeenCalledOnce();
  });

  it("turns a broken connection into an error in words", async () => {
    vi.stubGlobal("fetch", () => Promise.reject(new TypeError("Failed to fetch")));
    await expect(api.get("/version", {})).rejects.toThrow("The server cannot be reached.");
  });
});
