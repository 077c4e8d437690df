// Package invoices reads a list of invoices and says which ones are due.
package invoices

import (
	"encoding/csv"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Report is what there is to know today.
type Report struct {
	// Invoices counts all of them.
	Invoices int
	// Overdue holds the numbers of those that are unpaid after their day.
	Overdue []string
	// OpenCents is what unpaid ones sum up to.
	OpenCents int64
}

// Read reads lines `number,due,cents,paid`, with this heading.
func Read(data string, today time.Time) (Report, error) {
	reader := csv.NewReader(strings.NewReader(data))
	reader.FieldsPerRecord = 4
	lines, err := reader.ReadAll()
	if err != nil {
		return Report{}, err
	}
	if len(lines) == 0 || strings.Join(lines[0], ",") != "number,due,cents,paid" {
		return Report{}, fmt.Errorf("the first line is not number,due,cents,paid")
	}
	report := Report{Overdue: []string{}}
	for _, line := range lines[1:] {
		if err := report.add(line, today); err != nil {
			return Report{}, fmt.Errorf("invoice %s: %w", line[0], err)
		}
	}
	return report, nil
}

func (report *Report) add(line []string, today time.Time) error {
	due, err := time.Parse(time.DateOnly, line[1])
	if err != nil {
		return err
	}
	cents, err := strconv.ParseInt(line[2], 10, 64)
	if err != nil {
		return err
	}
	paid, err := strconv.ParseBool(line[3])
	if err != nil {
		return err
	}
	report.Invoices++
	if paid {
		return nil
	}
	report.OpenCents += cents
	if !today.Before(due.AddDate(0, 0, 1)) {
		report.Overdue = append(report.Overdue, line[0])
	}
	return nil
}
