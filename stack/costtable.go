package stack

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// CostTable is the lines as plain text, with a total, and where the prices are
// from. What costs nothing has a line without an amount.
func CostTable(lines []Line) string {
	rows := [][4]string{{"", "a month", "USD each", "USD a month"}}
	for _, l := range lines {
		row := [4]string{l.What, number(l.Count) + " " + l.Unit, number(l.Price), dollars(l.USD)}
		switch {
		case l.Unknown:
			row[2], row[3] = "?", "?"
		case l.Price == 0:
			row[2], row[3] = "free", dollars(0)
		}
		if l.Count == 0 {
			row[1] = "none"
		}
		rows = append(rows, row)
	}
	total, all := Total(lines)
	sum := "total"
	if !all {
		sum = "total, without what is not known"
	}
	rows = append(rows, [4]string{sum, "", "", dollars(total)})

	var width [4]int
	for _, r := range rows {
		for i, cell := range r {
			width[i] = max(width[i], len(cell))
		}
	}
	var b strings.Builder
	for i, r := range rows {
		line := fmt.Sprintf("%-*s  %*s  %*s  %*s", width[0], r[0], width[1], r[1], width[2], r[2], width[3], r[3])
		if i > 0 && i <= len(lines) && lines[i-1].Note != "" {
			line += "  " + lines[i-1].Note
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	fmt.Fprintf(&b, "An estimate without taxes and free tiers, at list prices of %s; today's: https://calculator.aws\n", PricesAsOf)
	return b.String()
}

// number writes what matters of one: three digits, or all before the point.
func number(f float64) string {
	digits := 0
	if f > 0 {
		digits = max(0, 2-int(math.Floor(math.Log10(f))))
	}
	s := strconv.FormatFloat(f, 'f', digits, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// dollars writes cents, or that it is less than half of one.
func dollars(f float64) string {
	if f > 0 && f < 0.005 {
		return "<0.01"
	}
	return strconv.FormatFloat(f, 'f', 2, 64)
}
