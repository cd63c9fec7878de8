package inbox_test

import (
	"fmt"
	"slices"
	"testing"

	"tocsin/server/inbox"
	"tocsin/server/inbox/inboxtest"
)

func names(page []inbox.Named) (list []string) {
	for _, one := range page {
		list = append(list, one.Name)
	}
	return list
}

func TestTheDirectoryIsListedInPages(t *testing.T) {
	log := &inbox.MemoryLog{}
	w := inboxtest.NewWriter(t, log)

	for i := range 25 {
		group := "even"
		if i%2 == 1 {
			group = "odd"
		}
		w.Device(fmt.Sprintf("truck-%02d", i), group)
		w.Member(group, fmt.Sprintf("user-%02d", i), true)
	}
	w.Device("Zürich/1", "even", "odd")
	w.Device("truck-03")
	last := w.Member("even", "user-00", false)
	v, _ := inboxtest.StartView(t, log, inbox.ViewOptions{})
	inboxtest.Reach(t, v, last)

	for name, list := range map[string]func(inbox.Browse) ([]inbox.Named, string, int){"truck": v.Devices, "user": v.Users} {
		var all []string
		after := ""
		for range 10 {
			page, next, total := list(inbox.Browse{Prefix: name, After: after, Limit: 7})
			if total != 24 {
				t.Errorf("%s: %d in all, want 24", name, total)
			}
			all = append(all, names(page)...)
			if after = next; next == "" {
				break
			}
		}
		if len(all) != 24 || !slices.IsSorted(all) || len(slices.Compact(slices.Clone(all))) != 24 {
			t.Errorf("%s: %v", name, all)
		}
	}
	page, next, total := v.Devices(inbox.Browse{Group: "even", Limit: 100})
	if total != 14 || next != "" || page[0].Name != "Zürich/1" || !slices.Equal(page[0].Groups, []string{"even", "odd"}) {
		t.Errorf("even: %v %q %d", page, next, total)
	}
	if page, next, total := v.Users(inbox.Browse{Prefix: "nobody", Limit: 1}); len(page) != 0 || next != "" || total != 0 {
		t.Errorf("nobody: %v %q %d", page, next, total)
	}
}
