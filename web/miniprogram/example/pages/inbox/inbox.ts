import type { Counts, Inbox } from "../../tocsin";
import { rowsOf, wordsOf, type Row } from "./rows";

const { inbox } = getApp<{ inbox: Inbox }>();

/** What came since somebody looked last. */
const fresh = new Set<string>();

Page({
  data: { rows: [] as Row[], unread: 0, state: "Connecting", live: false },
  offs: [] as (() => void)[],
  drawing: false,

  onLoad() {
    this.offs = [
      inbox.on("entries", (entries) => {
        const raised = entries.filter(({ type, quiet }) => type === "alarm.raised" && !quiet);
        for (const entry of raised) if ("alarm" in entry) fresh.add(entry.alarm.id);
        if (raised.some((entry) => "alarm" in entry && entry.alarm.severity === "critical")) wx.vibrateLong();
      }),
      inbox.on("change", (counts) => this.draw(counts)),
      inbox.on("state", (state) => this.setData({ state: wordsOf(state), live: state.name === "live" })),
      inbox.on("gap", ({ reason }) => reason !== "compacted" && wx.showToast({ title: "The list begins anew", icon: "none" })),
      inbox.on("problem", ({ title }) => wx.showToast({ title, icon: "none" })),
    ];
    this.draw(inbox.counts);
  },

  onUnload() {
    for (const off of this.offs) off();
  },

  onHide() {
    fresh.clear();
  },

  // Many changes in a flood are one drawing.
  draw(counts: Counts) {
    if (this.drawing) return;
    this.drawing = true;
    setTimeout(() => {
      this.drawing = false;
      this.setData({ rows: rowsOf(inbox.alarms(), fresh), unread: counts.unread });
    }, 50);
  },

  onPullDownRefresh() {
    inbox.connect();
    wx.stopPullDownRefresh();
  },

  acknowledge({ currentTarget }: WechatMiniprogram.TouchEvent) {
    void inbox.ack(String(currentTarget.dataset["id"])).catch(() => {}); // `problem` has told it
  },

  readAll() {
    fresh.clear();
    void inbox.read().catch(() => {});
  },
});
