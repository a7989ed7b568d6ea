import { render, screen } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import { StatusText, toneOf } from "../src/components/StatusIcon";

describe("a state in words", () => {
  it("says what a virtual machine does beside running, and marks it", () => {
    render(<StatusText status="running" finer="guest-panicked" />);
    const text = screen.getByText("running (guest-panicked)");
    expect(text.querySelector(".dot-bad")).not.toBeNull();
    expect(toneOf("paused")).toBe("busy");
  });

  it("says nothing twice", () => {
    render(<StatusText status="running" finer="running" />);
    expect(screen.getByText("running").querySelector(".dot-up")).not.toBeNull();
    render(<StatusText status={undefined} />);
    expect(screen.getByText("unknown")).toBeInTheDocument();
  });
});
