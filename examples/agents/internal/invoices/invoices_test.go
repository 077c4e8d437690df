package invoices

import (
	"reflect"
	"testing"
	"time"
)

func TestAnInvoiceIsOverdueAfterItsDay(t *testing.T) {
	const list = "number,due,cents,paid\nA1,2026-11-01,1000,true\nA2,2026-11-01,250,false\nA3,2026-11-02,50,false\n"
	got, err := Read(list, time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	want := Report{Invoices: 3, Overdue: []string{"A2"}, OpenCents: 300}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestRubbishIsRefused(t *testing.T) {
	const heading = "number,due,cents,paid\n"
	for name, data := range map[string]string{
		"nothing":          "",
		"no heading":       "A1,2026-11-01,1000,true\n",
		"a field less":     heading + "A1,2026-11-01,1000\n",
		"no date":          heading + "A1,tomorrow,1000,true\n",
		"no sum":           heading + "A1,2026-11-01,ten,true\n",
		"paid perhaps":     heading + "A1,2026-11-01,1000,perhaps\n",
		"an open quote":    heading + "\"A1,2026-11-01,1000,true\n",
		"a field too many": heading + "A1,2026-11-01,1000,true,x\n",
	} {
		if report, err := Read(data, time.Now()); err == nil {
			t.Errorf("%s: accepted as %v", name, report)
		}
	}
}
